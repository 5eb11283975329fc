/**
 * A function that runs `draw` once before the next frame however often it is called until then. A
 * hidden page has no frames, so there it runs soon.
 * @param {() => void} draw
 */
export function oncePerFrame(draw) {
  let scheduled = false;
  const run = () => {
    scheduled = false;
    draw();
  };
  return () => {
    if (scheduled) return;
    scheduled = true;
    if (document.hidden) setTimeout(run);
    else requestAnimationFrame(run);
  };
}
