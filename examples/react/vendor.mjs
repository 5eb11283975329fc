// React comes from npm as CommonJS only, which browsers do not load. This wraps the files as modules:
//
//   npm install --prefix tests/clients
//   node examples/react/vendor.mjs tests/clients/node_modules examples/react/vendor [production]
//
// With a bundler none of this is needed.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';

const [modules, target, mode = 'development'] = process.argv.slice(2);
const require = createRequire(resolve(modules, 'any.js'));
process.env.NODE_ENV = mode;

/** Each by the name that it is imported under, with those it requires. */
const PARTS = [
  { name: 'react', file: `react/cjs/react.${mode}.js`, needs: [] },
  { name: 'scheduler', file: `scheduler/cjs/scheduler.${mode}.js`, needs: [] },
  { name: 'react-dom', file: `react-dom/cjs/react-dom.${mode}.js`, needs: ['react'] },
  { name: 'react-dom/client', file: `react-dom/cjs/react-dom-client.${mode}.js`, needs: ['react', 'scheduler', 'react-dom'] },
];

/** @param {string} name */
const fileOf = (name) => `${name.replace('/', '-')}.js`;

mkdirSync(target, { recursive: true });
for (const { name, file, needs } of PARTS) {
  const source = readFileSync(join(modules, file), 'utf8');
  const names = Object.keys(require(name)).filter((key) => /^[a-z]\w*$/i.test(key) && key !== 'default');
  writeFileSync(join(target, fileOf(name)), `
${needs.map((need, index) => `import part${index} from './${fileOf(need)}';`).join('\n')}
const parts = { ${needs.map((need, index) => `'${need}': part${index}`).join(', ')} };
const module = { exports: {} };
(function (module, exports, require, process) {
${source}
})(module, module.exports, (name) => parts[name], { env: { NODE_ENV: '${mode}' } });
export default module.exports;
export const { ${names.join(', ')} } = module.exports;
`);
}
