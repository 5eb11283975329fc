import React from 'react';

/**
 * The snapshot of a view, which runs while the component is mounted.
 * @template {object} T
 * @template {import('../views/store.js').Store<T> | null} V
 * @param {V & (import('../views/store.js').Store<T> | null)} view
 * @returns {V extends null ? T | null : T}
 */
export function useView(view) {
  const get = view?.get ?? nothing;
  return /** @type {any} */ (React.useSyncExternalStore(view?.subscribe ?? never, get, get));
}

const never = () => () => {};
const nothing = () => null;

/**
 * Calls the callbacks of the last render, so that a new function does not cause a reconnect.
 * @param {EventTarget | null} view
 * @param {Record<string, ((detail: any) => void) | undefined>} callbacks by type
 */
export function useEvents(view, callbacks) {
  const latest = React.useRef(callbacks);
  React.useLayoutEffect(() => {
    latest.current = callbacks;
  });
  React.useLayoutEffect(() => {
    if (!view) return undefined;
    const types = Object.keys(latest.current);
    const hear = (/** @type {Event} */ event) => latest.current[event.type]?.(/** @type {CustomEvent} */ (event).detail);
    for (const type of types) view.addEventListener(type, hear);
    return () => types.forEach((type) => view.removeEventListener(type, hear));
  }, [view]);
}
