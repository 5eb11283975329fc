const SVG = 'http://www.w3.org/2000/svg';

/** Each icon's paths in a square of 24: stroked, and filled. @type {Record<string, string[]>} */
const PATHS = {
  assistant: ['M11 4c.7 4.6 2.4 6.3 7 7-4.6.7-6.3 2.4-7 7-.7-4.6-2.4-6.3-7-7 4.6-.7 6.3-2.4 7-7ZM18.5 16c.2 1.7.8 2.3 2.5 2.5-1.7.2-2.3.8-2.5 2.5-.2-1.7-.8-2.3-2.5-2.5 1.7-.2 2.3-.8 2.5-2.5Z'],
  ban: ['M4.5 12a7.5 7.5 0 1 0 15 0a7.5 7.5 0 1 0-15 0M6.7 6.7l10.6 10.6'],
  clock: ['M4.5 12a7.5 7.5 0 1 0 15 0a7.5 7.5 0 1 0-15 0M12 8v4.2l2.8 1.8'],
  close: ['M6 6l12 12M18 6L6 18'],
  copy: ['M11 9h6.5a2 2 0 0 1 2 2v6.5a2 2 0 0 1-2 2H11a2 2 0 0 1-2-2V11a2 2 0 0 1 2-2ZM15 9V6.5a2 2 0 0 0-2-2H6.5a2 2 0 0 0-2 2V13a2 2 0 0 0 2 2H9'],
  delete: ['M5 7h14M10 7V4.5h4V7M7 7l.8 12.5h8.4L17 7M10.5 11v5M13.5 11v5'],
  down: ['M12 5v14M6 13l6 6 6-6'],
  download: ['M12 4.5v10M7.5 10.5l4.5 4.5 4.5-4.5M5 19.5h14'],
  edit: ['M5 19h3.5L19 8.5 15.5 5 5 15.5V19ZM13 7.5l3.5 3.5'],
  leave: ['M14 4H7a2 2 0 0 0-2 2v12a2 2 0 0 0 2 2h7M11 12h9M16.5 8.5 20 12l-3.5 3.5'],
  link: ['M10 14a4 4 0 0 0 5.7 0l3-3A4 4 0 0 0 13 5.3l-1.2 1.2M14 10a4 4 0 0 0-5.7 0l-3 3A4 4 0 0 0 11 18.7l1.2-1.2'],
  lock: ['M7.5 11h9a2 2 0 0 1 2 2v4.5a2 2 0 0 1-2 2h-9a2 2 0 0 1-2-2V13a2 2 0 0 1 2-2ZM8.5 11V8a3.5 3.5 0 0 1 7 0v3'],
  more: ['', 'M4.7 12a1.3 1.3 0 1 0 2.6 0a1.3 1.3 0 1 0-2.6 0M10.7 12a1.3 1.3 0 1 0 2.6 0a1.3 1.3 0 1 0-2.6 0M16.7 12a1.3 1.3 0 1 0 2.6 0a1.3 1.3 0 1 0-2.6 0'],
  mute: ['M12 15.5a3 3 0 0 0 3-3V7a3 3 0 0 0-6 0v5.5a3 3 0 0 0 3 3ZM6 12a6 6 0 0 0 12 0M12 18v2.5M5 4.5l14 15'],
  people: ['M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20c.4-3.6 3-5.5 6.5-5.5s6.1 1.9 6.5 5.5M16 4.6a3.3 3.3 0 0 1 0 5.9M18.2 15c1.9.8 3.1 2.5 3.3 5'],
  plus: ['M12 5.5v13M5.5 12h13'],
  retry: ['M18.5 9.5A7 7 0 1 0 19 13M19 5v4.5h-4.5'],
  send: ['M12 19V5M6 11l6-6 6 6'],
  settings: ['M4 8h9M18 8h2M4 16h2M11 16h9M13.2 8a2.3 2.3 0 1 0 4.6 0a2.3 2.3 0 1 0-4.6 0M6.2 16a2.3 2.3 0 1 0 4.6 0a2.3 2.3 0 1 0-4.6 0'],
  shield: ['M12 4l7 2.5v5c0 4-2.8 7-7 8.5-4.2-1.5-7-4.5-7-8.5v-5L12 4Z'],
  stop: ['', 'M9 7h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2H9a2 2 0 0 1-2-2V9a2 2 0 0 1 2-2Z'],
  theme: ['M4.5 12a7.5 7.5 0 1 0 15 0a7.5 7.5 0 1 0-15 0', 'M12 4.5v15a7.5 7.5 0 0 0 0-15Z'],
};

/** @param {string} name */
export function icon(name) {
  return drawIcon(svg('svg', { class: 'icon', 'aria-hidden': 'true' }), name);
}

/** Replaces an `<svg>`'s paths by those of an icon. @template {Element} E @param {E} node @param {string} name @returns {E} */
export function drawIcon(node, name) {
  const [lines, filled] = PATHS[name];
  node.setAttribute('viewBox', '0 0 24 24');
  node.replaceChildren(svg('path', { d: lines }));
  if (filled) node.append(svg('path', { d: filled, fill: 'currentColor' }));
  return node;
}

/** @param {string} tag @param {Record<string, string>} attributes */
function svg(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}
