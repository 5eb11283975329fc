// The shared worker that carries the tabs' streams where Web Locks are missing. Its name is that of
// the channel, which ends with the server's address.
import { Carrier } from './carrier.js';

const { name } = /** @type {{name: string}} */ (/** @type {unknown} */ (globalThis));
new Carrier({ name, url: name.slice(name.indexOf(' ') + 1) }).lead();
