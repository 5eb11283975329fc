/** Buttons, icons, avatars and marks, for elements and for pages that use their parts. */
export const CONTROLS = `
kbd {
  padding: 0.05em 0.4em;
  border: 1px solid var(--line);
  border-bottom-width: 2px;
  border-radius: 5px;
  background: var(--surface);
  font: 500 0.85em/1.4 var(--font);
}

.icon {
  flex: none;
  width: 20px;
  height: 20px;
  fill: none;
  stroke: currentColor;
  stroke-width: 1.7;
  stroke-linecap: round;
  stroke-linejoin: round;
}

.sr-only {
  position: absolute;
  width: 1px;
  height: 1px;
  margin: -1px;
  padding: 0;
  overflow: hidden;
  border: 0;
  clip-path: inset(50%);
  white-space: nowrap;
}

.form-error { color: var(--danger); font-size: 0.9em; overflow-wrap: anywhere; }
.form-error:empty { display: none; }

.avatar {
  display: grid;
  flex: none;
  place-items: center;
  width: 34px;
  height: 34px;
  border-radius: 11px;
  background: var(--hue-fill);
  color: var(--hue-ink);
  font-size: 0.78em;
  font-weight: 680;
  letter-spacing: 0.01em;
  user-select: none;
}

.assistant-avatar {
  background: var(--primary);
  color: var(--on-primary);
}

.button {
  display: inline-flex;
  align-items: center;
  justify-content: center;
  gap: 8px;
  min-height: 42px;
  padding: 0 16px;
  border: 1px solid var(--line);
  border-radius: var(--radius-small);
  background: var(--surface);
  color: var(--ink);
  font-weight: 600;
  transition: background-color 0.15s, border-color 0.15s;

  &:hover:not(:disabled) { background: var(--raised); }
  &:disabled { opacity: 0.6; }

  &.primary {
    border-color: transparent;
    background: var(--primary);
    color: var(--on-primary);
    &:hover:not(:disabled) { background: var(--primary-hover); }
  }
  &.danger { border-color: transparent; background: var(--danger-fill); color: #fff; }
  &.danger:hover { background: var(--danger-fill); filter: brightness(1.1); }
  &.subtle { border-color: transparent; background: transparent; }
  &.subtle[aria-expanded="true"] { background: var(--raised); }
  &.small { min-height: 34px; padding: 0 12px; font-size: 0.88em; }
  &.wide { width: 100%; min-height: 48px; }
}

.icon-button {
  position: relative;
  display: inline-grid;
  flex: none;
  place-items: center;
  width: 42px;
  height: 42px;
  padding: 0;
  border: 0;
  border-radius: var(--radius-small);
  background: transparent;
  color: var(--soft);
  transition: background-color 0.15s, color 0.15s;

  &:hover:not(:disabled) { background: var(--raised); color: var(--ink); }
}

.link-button {
  padding: 4px 0;
  border: 0;
  background: none;
  color: var(--accent);
  font-weight: 600;
  text-decoration: underline;
  text-decoration-thickness: 1px;
  text-underline-offset: 0.2em;
  &:hover { text-decoration-thickness: 2px; }
}

.badge {
  padding: 0 6px;
  border-radius: 5px;
  background: var(--primary);
  color: var(--on-primary);
  font-size: 0.68em;
  font-weight: 700;
  letter-spacing: 0.03em;
}
.author .badge { font-size: 0.81em; }
.badge.guest { background: none; box-shadow: inset 0 0 0 1px var(--edge); color: var(--soft); font-weight: 600; }

/* Ten tiles for people. Text on fill has at least 4.5:1 in both themes. */
.hue-0 { --hue-fill: light-dark(#d3eadf, #1e4337); --hue-ink: light-dark(#0c5a43, #8fdcbc); }
.hue-1 { --hue-fill: light-dark(#f9dcd2, #4c2a1f); --hue-ink: light-dark(#8f3313, #f6b297); }
.hue-2 { --hue-fill: light-dark(#dbe4fa, #25335a); --hue-ink: light-dark(#26479b, #a9c0ff); }
.hue-3 { --hue-fill: light-dark(#f7e4b8, #46370f); --hue-ink: light-dark(#6d4a00, #f0cd72); }
.hue-4 { --hue-fill: light-dark(#f3d9ea, #4a2340); --hue-ink: light-dark(#86246a, #f2a8d9); }
.hue-5 { --hue-fill: light-dark(#cfeaf0, #143f4a); --hue-ink: light-dark(#0a5566, #83d6e8); }
.hue-6 { --hue-fill: light-dark(#e3e9bf, #363d12); --hue-ink: light-dark(#495400, #cfdc71); }
.hue-7 { --hue-fill: light-dark(#e6def8, #382b5c); --hue-ink: light-dark(#55379f, #c9b5ff); }
.hue-8 { --hue-fill: light-dark(#fbd9dc, #50252b); --hue-ink: light-dark(#96202f, #ffaab2); }
.hue-9 { --hue-fill: light-dark(#dfe4e2, #323c38); --hue-ink: light-dark(#3f4d47, #bccac3); }

@media (pointer: coarse) {
  .icon-button { min-width: 44px; min-height: 44px; }
  .button, .button.small { min-height: 44px; }
  .link-button { display: inline-flex; align-items: center; min-width: 44px; min-height: 44px; }
}
@media (forced-colors: active) { .avatar, .bubble, .button, .icon-button, .composer-box { border: 1px solid; } }
`;
