/** The tab's own storage, or null if there is none or it is blocked. @returns {Storage | null} */
export function tabStorage() {
  try {
    return globalThis.sessionStorage ?? null;
  } catch {
    return null;
  }
}

/**
 * The JSON value kept under `name`, or null.
 * @param {Storage | null} area
 * @param {string} name
 */
export function recall(area, name) {
  try {
    return JSON.parse(area?.getItem(`chatrooms.${name}`) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * Stores a value as JSON; null removes it. Blocked or full storage is not an error: the page works,
 * and forgets on reload.
 * @param {Storage | null} area
 * @param {string} name
 * @param {unknown} value
 */
export function remember(area, name, value) {
  try {
    if (value === null) area?.removeItem(`chatrooms.${name}`);
    else area?.setItem(`chatrooms.${name}`, JSON.stringify(value));
  } catch {
    // see above
  }
}

/**
 * 128 random bits as 32 hex digits. `crypto.randomUUID` is missing on plain HTTP addresses,
 * `getRandomValues` is not.
 */
export function randomId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}
