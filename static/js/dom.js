export { iconButton, make as element, place, putText } from '../client/elements/build.js';
export { drawIcon, icon } from '../client/elements/icons.js';

/**
 * The element with this id.
 * @param {string} id
 */
export function byId(id) {
  return document.getElementById(id);
}
