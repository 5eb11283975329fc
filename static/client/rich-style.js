/** The look of Markdown, in pages and in elements alike. A page may set the colours: `--code-keyword` and so on. */
export const RICH_STYLE = `
.rich {
  display: grid; gap: .55em; min-width: 0; overflow-wrap: anywhere; white-space: normal;

  > * { min-width: 0; }
  p, ul, ol, blockquote { margin: 0; }
  p, li { white-space: pre-wrap; unicode-bidi: plaintext; }
  .rich-heading { margin-top: .3em; font-weight: 700; letter-spacing: -.01em; }
  strong { font-weight: 680; }
  ul, ol { display: grid; gap: .25em; padding-inline-start: 1.5em; }
  ul { list-style: disc; }
  ol { list-style: decimal; }
  li { margin: 0; padding: 0; }
  li::marker { color: var(--soft); font-variant-numeric: tabular-nums; }
  li > :is(ul, ol, blockquote, div) { white-space: normal; }
  li > * + :is(p, ul, ol, blockquote, div) { margin-top: .3em; }
  blockquote { display: grid; gap: .4em; padding-inline-start: .9em; border-inline-start: 3px solid var(--line); color: var(--soft); }
  hr { width: 100%; margin: .3em 0; border: 0; border-top: 1px solid var(--line); }
  a { color: var(--accent); }
  .no-link { text-decoration: underline dotted; }
  .no-link::after { content: " (" attr(data-href) ")"; color: var(--soft); }
  .table { overflow-x: auto; }
  table { border-collapse: collapse; overflow-wrap: normal; }
  th, td { padding: .3em .55em; border: 1px solid var(--line); }
  th { background: var(--raised); font-weight: 650; }
  th:not([align]) { text-align: start; }
  :not(pre) > code { padding: .1em .35em; border-radius: 5px; background: color-mix(in oklab, currentColor 9%, transparent); font: .88em var(--mono, ui-monospace, monospace); }
  .code-block { border: 1px solid var(--line); border-radius: 9px; background: var(--paper, var(--surface)); overflow: hidden; }
  .code-head { display: flex; min-height: 34px; align-items: center; justify-content: space-between; padding: 2px 4px 0 14px; color: var(--soft); font: .76rem var(--mono, ui-monospace, monospace); }
  .code-head button { border: 0; font: inherit; }
  .code-head .icon-button { width: 34px; height: 32px; }
  .code-head .icon { width: 16px; height: 16px; }
  pre { margin: 0; padding: 2px 14px 12px; overflow-x: auto; font: .84rem/1.55 var(--mono, ui-monospace, monospace); overflow-wrap: normal; white-space: pre; }
  pre:focus-visible { outline-offset: -3px; }
  .code-keyword { color: var(--code-keyword, light-dark(#7a3e9d, #d3a8f0)); }
  .code-type { color: var(--code-type, light-dark(#1a6674, #83d6e8)); }
  .code-title { color: var(--code-title, light-dark(#1f5fa8, #8fc1ff)); }
  .code-string { color: var(--code-string, light-dark(#0b6b50, #b7dd7c)); }
  .code-number { color: var(--code-number, light-dark(#9a4a00, #f2b880)); }
  .code-attribute { color: var(--code-attribute, light-dark(#6d4a00, #f0cd72)); }
  .code-comment { color: var(--code-comment, var(--soft)); }
  .code-deletion { color: var(--code-deletion, var(--danger)); }
}
.growing > p:last-child::after,
.growing > :is(ul, ol):last-child > li:last-child > p:last-child::after,
.growing > :is(ul, ol):last-child > li:last-child:not(:has(> :is(p, ul, ol, blockquote, div):last-child))::after,
.growing > .code-block:last-child code::after {
  content: ""; display: inline-block; width: .5em; height: 1em; margin-inline-start: 3px; border-radius: 2px;
  background: var(--accent); vertical-align: -.15em; animation: caret 1s steps(2) infinite;
}
@keyframes caret { to { opacity: 0; } }
@media (prefers-reduced-motion: reduce) { .growing *::after { animation: none !important; } }
`;
