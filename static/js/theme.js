import { remember } from '../client/storage.js';
import { browser } from './memory.js';

const systemDark = matchMedia('(prefers-color-scheme: dark)');

/** Wires every `[data-theme-toggle]` button to flip the page between light and dark. */
export function installThemeToggles() {
  for (const button of document.querySelectorAll('[data-theme-toggle]')) {
    button.addEventListener('click', flip);
  }
}

function flip() {
  const root = document.documentElement;
  const current = root.dataset.theme ?? (systemDark.matches ? 'dark' : 'light');
  root.dataset.theme = current === 'dark' ? 'light' : 'dark';
  remember(browser, 'theme', root.dataset.theme);
}
