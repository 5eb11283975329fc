import { byId, element, icon } from './dom.js';

const GAP_PX = 4;
const STEPS = { ArrowDown: 1, ArrowUp: -1 };

/**
 * Opens the page's one menu under a button. Arrow keys, Home, End and Escape work; the focus returns
 * to the button.
 * @param {HTMLElement} opener
 * @param {string} label what the menu is for
 * @param {{label: string, icon: string, danger?: boolean, run: () => void}[]} items
 */
export function openMenu(opener, label, items) {
  const menu = byId('menu');
  menu.setAttribute('aria-label', label);
  menu.replaceChildren(...items.map((item) => itemNode(menu, item, opener)));
  menu.onkeydown = (event) => onKey(event, menu);
  menu.ontoggle = ({ newState }) => opener.setAttribute('aria-expanded', String(newState === 'open'));
  menu.showPopover();
  place(menu, opener);
  menu.firstElementChild.focus();
}

function itemNode(menu, item, opener) {
  const node = element(
    'button', { type: 'button', role: 'menuitem', tabindex: -1, class: item.danger ? 'danger' : null },
    icon(item.icon), item.label,
  );
  node.addEventListener('click', () => {
    menu.hidePopover();
    opener.focus();
    item.run();
  });
  return node;
}

function onKey(event, menu) {
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  const ends = { Home: 0, End: items.length - 1 };
  const next = ends[event.key] ?? (event.key in STEPS ? (at + STEPS[event.key] + items.length) % items.length : -1);
  if (next >= 0) {
    event.preventDefault();
    items[next].focus();
  } else if (event.key === 'Tab') {
    event.preventDefault();
    menu.hidePopover();
  } else if (event.key === 'Escape') {
    event.stopPropagation(); // or it would also close the drawer behind
  }
}

function place(menu, opener) {
  const from = opener.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const below = from.bottom + GAP_PX + height <= innerHeight;
  menu.style.left = `${Math.max(GAP_PX, Math.min(from.left, innerWidth - width - GAP_PX))}px`;
  menu.style.top = `${below ? from.bottom + GAP_PX : Math.max(GAP_PX, from.top - GAP_PX - height)}px`;
}
