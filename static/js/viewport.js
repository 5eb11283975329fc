/**
 * Keeps the page as high as its visible part. Browsers without `interactive-widget` lay the
 * on-screen keyboard over the page; only the visual viewport reflects that.
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
