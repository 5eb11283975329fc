const PREFIX = 'chatrooms.';

/**
 * The JSON value kept under `name`, or null when there is none or storage is blocked.
 * @param {Storage} area
 * @param {string} name
 */
export function recall(area, name) {
  try {
    return JSON.parse(area.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/**
 * Keeps a value as JSON; null forgets it. Blocked storage is no error.
 * @param {Storage} area
 * @param {string} name
 * @param {unknown} value
 */
export function remember(area, name, value) {
  try {
    if (value === null) area.removeItem(PREFIX + name);
    else area.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // Private modes may refuse; the page then forgets on reload, and works.
  }
}
