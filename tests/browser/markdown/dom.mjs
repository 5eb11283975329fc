// As much of a DOM as the renderer of Markdown needs. It refuses every element and attribute that the
// renderer has no business making, so each test here is one of safety, too.

const NONE = {};
const ALLOWED = {
  a: { href: /^(https?:\/\/|mailto:)\S+$/i, target: /^_blank$/, rel: /^noopener noreferrer nofollow$/, title: /./, class: /^image$/ },
  span: { class: /^(no-link|no-link image|code-[a-z]+)$/, title: /^/, 'data-href': /^/ },
  p: { class: /^rich-heading$/, hidden: /^$/, role: /^heading$/, 'aria-level': /^[4-6]$/ },
  div: { class: /^(rich|rich growing|table|code-block|code-head)$/, role: /^region$/, 'aria-label': /^Table$/, tabindex: /^0$/ },
  pre: { tabindex: /^0$/, dir: /^ltr$/ },
  ol: { role: /^list$/, start: /^\d{1,9}$/ },
  ul: { role: /^list$/ },
  th: { align: /^(left|center|right)$/ },
  td: { align: /^(left|center|right)$/ },
  ...Object.fromEntries('blockquote br code del em hr li strong table tbody thead tr'.split(' ').map((name) => [name, NONE])),
};

class Container {
  childNodes = [];
  parent = null;

  append(...children) {
    for (const child of children.flatMap((one) => (one instanceof Fragment ? [...one.childNodes] : [one]))) {
      const node = typeof child === 'string' ? { data: child, parent: null } : child;
      node.parent?.drop(node);
      node.parent = this;
      if (node.data !== '') this.childNodes.push(node);
    }
  }

  drop(child) {
    this.childNodes = this.childNodes.filter((other) => other !== child);
  }

  replaceChildren(...children) {
    this.childNodes = [];
    this.append(...children);
  }

  get firstChild() {
    return this.childNodes[0] ?? null;
  }

  get textContent() {
    return this.childNodes.map((child) => child.data ?? child.textContent).join('');
  }

  /** By the name of an element only. */
  querySelector(name) {
    return [...elements(this)].find(({ localName }) => localName === name) ?? null;
  }
}

class Fragment extends Container {}

class Element extends Container {
  attributes = new Map();

  constructor(name) {
    super();
    if (!(name in ALLOWED)) throw new Error(`<${name}>`);
    this.localName = name;
    this.classList = {
      add: (word) => this.classList.toggle(word, true),
      toggle: (word, on) => {
        const words = (this.getAttribute('class') ?? '').split(' ').filter((other) => other && other !== word);
        this.setAttribute('class', (on ? [...words, word] : words).join(' '));
      },
    };
  }

  setAttribute(name, value) {
    if (!ALLOWED[this.localName][name]?.test(value)) throw new Error(`<${this.localName} ${name}="${value}">`);
    this.attributes.set(name, value);
  }

  getAttribute(name) {
    return this.attributes.get(name) ?? null;
  }

  remove() {
    this.parent?.drop(this);
    this.parent = null;
  }
}

/** All elements in a node, in order. */
export function* elements(node) {
  for (const child of node.childNodes ?? []) {
    if (child.localName) yield child;
    yield* elements(child);
  }
}

/** How many elements lie in each other at most. */
export function depth(node) {
  return 1 + Math.max(0, ...(node.childNodes ?? []).map(depth));
}

globalThis.document = { createElement: (name) => new Element(name), createDocumentFragment: () => new Fragment() };
