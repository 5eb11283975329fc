import { make } from './elements/build.js';

const FOLDER = '../vendor/highlight.js-11.12.0';
const LONGEST = 50_000; // characters

const LANGUAGES = new Set((
  'bash c cpp csharp css diff dockerfile go graphql haskell http ini java javascript json kotlin lua makefile markdown '
  + 'nginx perl php powershell python r ruby rust scala sql swift typescript xml yaml'
).split(' '));

const ALIASES = new Map(Object.entries({
  bash: 'sh zsh shell console', c: 'h', cpp: 'c++ cc hpp cxx', csharp: 'cs c#', diff: 'patch', dockerfile: 'docker',
  go: 'golang', graphql: 'gql', haskell: 'hs', ini: 'toml conf', javascript: 'js jsx mjs cjs node', json: 'jsonc json5',
  kotlin: 'kt', makefile: 'make mk', markdown: 'md', perl: 'pl', powershell: 'ps1 pwsh', python: 'py py3 python3',
  ruby: 'rb', rust: 'rs', sql: 'postgresql postgres mysql sqlite', typescript: 'ts tsx', xml: 'html svg vue', yaml: 'yml',
}).flatMap(([name, others]) => others.split(' ').map((other) => [other, name])));

const WITHIN = new Map([['xml', ['css', 'javascript']]]); // languages within others

const KINDS = new Map(Object.entries({
  keyword: 'keyword selector-tag name tag operator', type: 'type built_in class title.class selector-class',
  title: 'title section function selector-id', string: 'string regexp char addition link',
  number: 'number literal symbol bullet', attribute: 'attr attribute property variable template-variable',
  comment: 'comment quote meta doctag', deletion: 'deletion',
}).flatMap(([kind, scopes]) => scopes.split(' ').map((scope) => [scope, kind])));

/** @typedef {string | {scope?: string, children: Tree[]}} Tree the output of highlight.js */

/** @type {Map<string, Promise<any>>} */
const loaded = new Map();

/**
 * Colours the text of an element with spans once highlight.js and the language have loaded; does
 * nothing for an unknown language.
 * @param {Element} code
 * @param {string} language as written after the fence
 */
export async function highlight(code, language) {
  const text = code.textContent ?? '';
  const name = ALIASES.get(language.toLowerCase()) ?? language.toLowerCase();
  if (!LANGUAGES.has(name) || text.length > LONGEST) return;
  const [library] = await Promise.all([load('core'), ...[name, ...WITHIN.get(name) ?? []].map(register)]);
  if (code.textContent !== text) return;
  const { _emitter: tree } = library.highlight(text, { language: name, ignoreIllegals: true });
  code.replaceChildren(...nodes(tree.rootNode));
}

/** @param {string} name */
function load(name) {
  if (!loaded.has(name)) loaded.set(name, import(`${FOLDER}/${name}.min.js`).then((module) => module.default));
  return /** @type {Promise<any>} */ (loaded.get(name));
}

/** @param {string} name */
async function register(name) {
  const [library, grammar] = await Promise.all([load('core'), load(name)]);
  if (!library.getLanguage(name)) library.registerLanguage(name, grammar);
}

/** @param {Tree} tree @returns {(Node | string)[]} */
function nodes(tree) {
  if (typeof tree === 'string') return [tree];
  const { scope = '', children } = tree;
  const kind = KINDS.get(scope) ?? KINDS.get(scope.split('.')[0]);
  const inner = children.flatMap(nodes);
  return kind ? [make('span', { class: `code-${kind}` }, ...inner)] : inner;
}
