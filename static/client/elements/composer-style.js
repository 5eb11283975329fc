/** Styles of the composer. */
export const COMPOSER = `
.composer {
  flex: none;
  width: min(calc(var(--measure) + 48px), 100%);
  margin: 0 auto;
  padding: 0 var(--gutter, 24px) calc(12px + env(safe-area-inset-bottom));
}

.typing {
  min-height: 24px;
  padding-left: 4px;
  overflow: hidden;
  color: var(--soft);
  font-size: 0.83em;
  text-overflow: ellipsis;
  white-space: nowrap;
}

.composer-box {
  display: flex;
  align-items: flex-end;
  gap: 6px;
  padding: 5px;
  border: 1px solid var(--edge);
  border-radius: 16px;
  background: var(--surface);

  &:focus-within { border-color: var(--accent); box-shadow: 0 0 0 1px var(--accent); }

  textarea {
    flex: 1;
    min-width: 0;
    min-height: 42px;
    padding: 9px 6px 9px 11px;
    border: 0;
    outline: none;
    background: transparent;
    line-height: 1.5;
    resize: none;
  }
  textarea::placeholder { color: var(--soft); opacity: 1; }
}

.send {
  border-radius: 11px;
  background: var(--primary);
  color: var(--on-primary);

  &:hover:not(:disabled) { background: var(--primary-hover); color: var(--on-primary); }
  &:disabled { background: var(--raised); color: var(--soft); }
}

.composer > .form-error { padding: 6px 4px 0; }

.composer-hint {
  padding: 7px 4px 0;
  color: var(--soft);
  font-size: 0.78em;
}

.composer-closed {
  display: flex;
  align-items: center;
  gap: 10px;
  min-height: 54px;
  padding: 6px 8px 6px 16px;
  border: 1px dashed var(--edge);
  border-radius: 16px;
  color: var(--soft);
  font-size: 0.94em;

  p { flex: 1; min-width: 0; }
  .button { flex: none; font-size: 0.94em; }
}

.composer-wait {
  display: flex;
  align-items: center;
  gap: 7px;
  padding: 7px 4px 0;
  color: var(--soft);
  font-size: 0.83em;
  font-variant-numeric: tabular-nums;
  .icon { width: 16px; height: 16px; }
}

.editing {
  display: flex;
  align-items: center;
  gap: 8px;
  padding: 2px 0 4px 4px;
  color: var(--accent);
  font-size: 0.88em;

  p { flex: 1; min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
  #editing-text { color: var(--soft); }
  .icon-button { width: 34px; height: 34px; }
}

@media (max-width: 819px), (hover: none) { .composer-hint { display: none; } }
:host .composer-hint { display: none; }
@media (pointer: coarse) {
  .composer-box textarea { min-height: 44px; padding-block: 10px; }
  .editing .icon-button { min-width: 44px; min-height: 44px; }
}
`;
