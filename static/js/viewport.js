/**
 * Keeps the page as high as what is seen of it. Browsers without `interactive-widget` lay the
 * on-screen keyboard over the page; only the visual viewport tells.
 */
export function followKeyboard() {
  const { visualViewport } = globalThis;
  visualViewport?.addEventListener('resize', () => {
    const covered = visualViewport.scale === 1 && innerHeight - visualViewport.height > 1;
    const height = covered ? `${visualViewport.height}px` : '';
    document.documentElement.style.setProperty('--app-height', height);
    if (covered) globalThis.scrollTo(0, 0);
  });
}
