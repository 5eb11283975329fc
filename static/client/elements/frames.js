const LATEST_MS = 100;

/**
 * Returns a function that runs `draw` once before the next frame, however often it is called until
 * then. A background page may get no frames for long, so a timer runs it as well.
 * @param {() => void} draw
 */
export function oncePerFrame(draw) {
  let frame = 0;
  /** @type {ReturnType<typeof setTimeout> | null} */
  let timer = null;
  const run = () => {
    cancelAnimationFrame(frame);
    if (timer !== null) clearTimeout(timer);
    timer = null;
    draw();
  };
  return () => {
    if (timer !== null) return;
    frame = requestAnimationFrame(run);
    timer = setTimeout(run, LATEST_MS);
  };
}
