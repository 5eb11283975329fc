/**
 * Styles shared by all elements. Each colour is a custom property that a page may set; light or dark
 * follows the page's `color-scheme`.
 */
export const BASE = `
:host {
  --surface: var(--chatrooms-surface, light-dark(#ffffff, #141b18));
  --raised: var(--chatrooms-raised, light-dark(#eef2ec, #1d2622));
  --line: var(--chatrooms-line, light-dark(#dbe1d9, #2b3631));
  --edge: var(--chatrooms-edge, light-dark(#7d8b83, #6d7c74));
  --ink: var(--chatrooms-ink, light-dark(#13201b, #e7ede9));
  --soft: var(--chatrooms-soft, light-dark(#52605a, #9daba4));
  --accent: var(--chatrooms-accent, light-dark(#0b6b50, #c4e65e));
  --on-accent: var(--chatrooms-on-accent, light-dark(#ffffff, #14210f));
  --own: var(--chatrooms-own, light-dark(#dcebe0, #1c3a2f));
  --paper: var(--surface);
  --primary: var(--accent);
  --on-primary: var(--on-accent);
  --primary-hover: color-mix(in oklab, var(--accent) 86%, var(--ink));
  --danger: var(--chatrooms-danger, light-dark(#b3261e, #ff9b8f));
  --live: var(--chatrooms-live, light-dark(#2b8a3e, #d6f36b));
  --warn: var(--chatrooms-warn, light-dark(#8a5a00, #f2d28a));
  --warn-line: color-mix(in srgb, var(--warn) 40%, transparent);
  --warn-fill: color-mix(in srgb, var(--warn) 12%, transparent);
  --shadow: 0 2px 10px rgb(0 0 0 / 18%);
  --font: var(--chatrooms-font, ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif);
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas, monospace;
  --radius: var(--chatrooms-radius, 12px);
  --radius-small: min(9px, var(--radius));
  display: block;
  box-sizing: border-box;
  min-width: 0;
  color: var(--ink);
  background: var(--surface);
  border: 1px solid var(--line);
  border-radius: var(--radius);
  font: 15px/1.45 var(--font);
  overflow-wrap: anywhere;
}
:host([hidden]), [hidden] { display: none !important; }
*, *::before, *::after { box-sizing: border-box; }
ol, p, h2 { margin: 0; padding: 0; list-style: none; }
h2 { font: inherit; font-weight: 650; }
time { font-variant-numeric: tabular-nums; }
.quiet { color: var(--soft); font-size: 13px; }
button, input, textarea { font: inherit; color: inherit; }
button { cursor: pointer; }
button:disabled { cursor: default; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.state { display: inline-flex; align-items: center; gap: 7px; color: var(--soft); font-size: 13px; white-space: nowrap; }
.state::before {
  content: ""; flex: none; width: 8px; height: 8px; border-radius: 50%; background: var(--warn);
}
:host([state="open"]) .state::before, :host([state="polling"]) .state::before { background: var(--live); }
:host([state="closed"]) .state::before { background: var(--danger); }
:host([state="closed"]) .state { color: var(--danger); }
`;

/** The state of a connection, for a person. @param {string} state @param {number} [attempts] */
export function stateWord(state, attempts = 0) {
  if (state === 'open' || state === 'polling') return 'Connected';
  if (state === 'closed') return 'Disconnected';
  return state === 'waiting' || attempts ? 'Reconnecting…' : 'Connecting…';
}
