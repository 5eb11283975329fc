import { area } from '../client/sign-ins.js';

/** What this tab keeps over a reload; null where the browser forbids it. */
export const tab = area('sessionStorage');

/** What all tabs of this browser keep; null where the browser forbids it. */
export const browser = area('localStorage');
