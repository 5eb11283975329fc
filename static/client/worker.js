// The shared worker that carries the tabs' streams if there are no Web Locks. Its name is the
// channel's, which ends with the server's address.
import { Carrier } from './carrier.js';

const { name } = /** @type {{name: string}} */ (/** @type {unknown} */ (globalThis));
new Carrier({ name, url: name.slice(name.indexOf(' ') + 1) }).lead();
