import { area } from '../client/sign-ins.js';

/** This tab's storage, which survives a reload; null if the browser forbids it. */
export const tab = area('sessionStorage');

/** The storage of all tabs of this browser; null if the browser forbids it. */
export const browser = area('localStorage');
