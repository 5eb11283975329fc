/** Styles of a room: the state of its connection, its messages. */
export const ROOM = `
.connection {
  display: flex;
  align-items: center;
  gap: 7px;
  color: var(--soft);
  font-size: 0.82em;
  line-height: 1.4;

  span:last-child { overflow: hidden; font-variant-numeric: tabular-nums; text-overflow: ellipsis; white-space: nowrap; }
}

.connection-dot {
  flex: none;
  width: 8px;
  height: 8px;
  border-radius: 50%;
  background: var(--edge);

  [data-state="live"] > & { background: var(--live); }
  [data-state="polling"] > & { background: none; box-shadow: inset 0 0 0 2px var(--live); }
  [data-state="stopped"] > &, [data-state="offline"] > & { background: var(--danger); }
  [data-state="connecting"] > &, [data-state="waiting"] > & {
    background: light-dark(#c07a00, #f2c14e);
    animation: pulse 1.2s ease-in-out infinite;
  }
}
.banner {
  display: flex;
  flex: none;
  align-items: center;
  justify-content: center;
  gap: 14px;
  padding: 9px var(--gutter, 24px);
  border-bottom: 1px solid var(--warn-line);
  background: var(--warn-fill);
  color: var(--warn);
  font-size: 0.92em;

  .button.small { flex: none; border-color: currentColor; background: transparent; color: inherit; font-size: 0.957em; }
}

/* How wide it is decides, not the window: an embedded room may be narrow in a wide one. */
.log-frame {
  container-type: inline-size;
  position: relative;
  display: flex;
  flex: 1;
  min-height: 0;
}

.log {
  display: flex;
  flex: 1;
  flex-direction: column;
  min-width: 0;
  padding: 0 var(--gutter, 24px);
  overflow-y: auto;
  overflow-anchor: none;
  overscroll-behavior: contain;
  scrollbar-color: var(--line) transparent;

  &:focus-visible { outline-offset: -3px; }
}

.log-top {
  display: flex;
  flex: none;
  flex-wrap: wrap;
  gap: 0 8px;
  align-items: baseline;
  justify-content: center;
  width: min(var(--measure), 100%);
  min-height: 40px;
  margin: 0 auto;
  padding-top: 16px;
  color: var(--soft);
  font-size: 0.84em;
  text-align: center;
}

.jump {
  position: absolute;
  bottom: 10px;
  left: 50%;
  display: flex;
  align-items: center;
  gap: 8px;
  min-height: 38px;
  padding: 0 16px 0 12px;
  border: 0;
  border-radius: 19px;
  background: var(--primary);
  color: var(--on-primary);
  box-shadow: var(--shadow);
  font-size: 0.88em;
  font-weight: 600;
  transform: translateX(-50%);
  &:hover { background: var(--primary-hover); }
}

.messages {
  width: min(var(--measure), 100%);
  margin: auto auto 0;
  padding-bottom: 14px;
}

.day {
  display: flex;
  align-items: center;
  gap: 14px;
  margin: 22px 0 6px;
  color: var(--soft);
  font-size: 0.8em;
  font-weight: 600;

  &::before, &::after { flex: 1; height: 1px; background: var(--line); content: ""; }
}

.notice {
  margin: 10px auto;
  padding: 0 12px;
  color: var(--soft);
  font-size: 0.83em;
  text-align: center;
  overflow-wrap: anywhere;
}

.gap {
  margin: 14px 0;
  padding: 9px 14px;
  border: 1px dashed var(--warn-line);
  border-radius: var(--radius-small);
  background: var(--warn-fill);
  color: var(--warn);
  font-size: 0.88em;
  text-align: center;
}

.message {
  display: grid;
  grid-template-columns: 34px minmax(0, auto);
  column-gap: 10px;
  justify-content: start;
  margin-top: 3px;
  padding-right: 64px;

  &.first { margin-top: 14px; }
  &.own { grid-template-columns: minmax(0, auto); justify-content: end; padding-right: 0; padding-left: 84px; }
  .avatar { margin-top: 2px; }
  &:focus-visible { outline: none; }
}

.bubble {
  position: relative;
  min-width: 0;
  padding: 7px 13px 6px;
  border-radius: 5px 16px 16px 5px;
  background: var(--raised);

  .first > & { border-top-left-radius: 16px; }
  .own > & { border-radius: 16px 5px 5px 16px; background: var(--own); }
  .own.first > & { border-top-right-radius: 16px; }
  .bot > & { border: 1px solid var(--line); background: transparent; }
  /* Paler, but its text is not: it must be read as well as any other. */
  :is([data-state="sending"], [data-state="waiting"]) > & { background: color-mix(in srgb, var(--own) 45%, transparent); }
  [data-state="waiting"] > & { box-shadow: inset 0 0 0 1px var(--line); }
  [data-state="failed"] > & { box-shadow: inset 0 0 0 1px var(--danger); }
}

.author {
  display: flex;
  align-items: center;
  gap: 7px;
  color: var(--hue-ink);
  font-size: 0.84em;
  font-weight: 650;
  line-height: 1.4;
}
.author-name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }

.message-line {
  display: flex;
  flex-wrap: wrap;
  align-items: flex-end;
  column-gap: 14px;
}

.message-text { min-width: 0; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: plaintext; }

.folded { max-height: 20em; overflow: hidden; mask-image: linear-gradient(#000 70%, transparent); }
.unfold { font-size: 0.86em; }

.message-foot {
  display: flex;
  gap: 7px;
  margin-left: auto;
  color: var(--soft);
  font-size: 0.74em;
  font-variant-numeric: tabular-nums;
  line-height: 1.6;
  white-space: nowrap;
}
.edited { font-style: italic; }

.failure { display: flex; flex-wrap: wrap; gap: 0 12px; align-items: baseline; margin-top: 4px; color: var(--danger); font-size: 0.86em; }

.message-tools {
  position: absolute;
  top: -14px;
  right: 8px;
  display: flex;
  border: 1px solid var(--line);
  border-radius: 10px;
  background: var(--surface);
  box-shadow: var(--shadow);
  opacity: 0;
  pointer-events: none;

  .message:focus-within & { opacity: 1; pointer-events: auto; }
  @media (hover: hover) { .message:hover & { opacity: 1; pointer-events: auto; } }
  .icon-button { width: 34px; height: 32px; }
  .icon { width: 17px; height: 17px; }
}

.draft .message-text:not(.rich, :empty)::after {
  display: inline-block;
  width: 0.5em;
  height: 1em;
  margin-left: 3px;
  border-radius: 2px;
  background: var(--accent);
  content: "";
  vertical-align: -0.15em;
  animation: pulse 1s steps(2) infinite;
}

@container (min-width: 530px) {
  @media (hover: hover) {
    .message.own { padding-left: 120px; }
    .message-tools {
      top: auto;
      right: auto;
      bottom: 0;
      left: calc(100% + 6px);
      border-color: transparent;
      background: transparent;
      box-shadow: none;

      .own & { right: calc(100% + 6px); left: auto; }
    }
  }
}
@container (max-width: 529px) {
  .message { padding-right: 28px; &.bot { padding-right: 0; } }
  .message.own { padding-left: 44px; }
}
@media (pointer: coarse) {
  .message-tools {
    top: auto;
    bottom: calc(100% - 6px); /* above the text, which it would cover */
    .icon-button { min-width: 44px; min-height: 44px; }
  }
  .jump { min-height: 44px; }
}

.reply-note { display: flex; flex-wrap: wrap; align-items: center; gap: 2px 10px; margin-top: 5px; color: var(--soft); font-size: 0.84em; }
.reply-note.problem { color: var(--danger); }
.reply-stop { margin-top: 8px; }
.bot .message-text { flex: 1 0 100%; }
.message-line .reply-note { margin-top: 6px; }
.bot .message-foot { margin-top: 2px; }

.thinking {
  display: inline-block;
  width: 34px;
  height: 10px;
  background: radial-gradient(circle, var(--accent) 3.2px, transparent 3.8px) 0 0 / 11.3px 100%;
  animation: pulse 1.1s ease-in-out infinite;
}
@keyframes pulse { 50% { opacity: 0.25; } }
`;
