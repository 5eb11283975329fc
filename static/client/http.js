import { CLOCK } from './clock.js';

const TIMEOUT_MS = 15_000;

/** A response other than 2xx, or none at all: then `status` is 0. */
export class HttpError extends Error {
  name = 'HttpError';

  /**
   * @param {number} status
   * @param {string} code the server's stable slug, or `network`
   * @param {string} [message] one sentence for a person
   * @param {number} [retryAfterMs] retry no sooner than this
   */
  constructor(status, code, message = code, retryAfterMs = 0) {
    super(message);
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** Whether the same request may succeed later, unchanged. */
  get passing() {
    return [0, 408, 425, 429].includes(this.status) || this.status >= 500;
  }
}

/** @param {unknown} error @returns {HttpError} any failure as an HttpError; anything else counts as the network's */
export function asHttpError(error) {
  if (error instanceof HttpError) return error;
  return new HttpError(0, 'network', 'The server cannot be reached.');
}

/**
 * @typedef {typeof globalThis.fetch} Fetch
 *
 * @typedef {object} Call
 * @property {any} [body] an object or array is sent as JSON; a text, form or Blob as it is
 * @property {string | null} [token]
 * @property {HeadersInit} [headers]
 * @property {AbortSignal} [signal]
 * @property {number} [timeoutMs] until the head of the response; 0: no limit, for streams
 * @property {Fetch} [fetch]
 * @property {import('./clock.js').Clock} [clock]
 */

/**
 * One request.
 * @param {string} method
 * @param {string} url
 * @param {Call} [call]
 * @returns {Promise<Response>} a 2xx response
 * @throws {HttpError} for any other response or none; AbortError when `signal` fired
 */
export async function request(method, url, call = {}) {
  const { body, token, signal, timeoutMs = TIMEOUT_MS, clock = CLOCK } = call;
  const headers = new Headers(call.headers); // its names are case-insensitive: one of each
  if (token) headers.set('Authorization', `Bearer ${token}`);
  const plain = Array.isArray(body) || body?.constructor === Object; // fetch takes text, forms and bytes as they are
  if (plain && !headers.has('Content-Type')) headers.set('Content-Type', 'application/json');
  const aborter = new AbortController();
  const abort = () => aborter.abort();
  signal?.addEventListener('abort', abort);
  if (signal?.aborted) abort();
  const cancel = timeoutMs ? clock.after(timeoutMs, abort) : () => {};
  try {
    const response = await (call.fetch ?? fetch)(url, {
      method,
      headers,
      body: plain ? JSON.stringify(body) : body,
      signal: aborter.signal,
      cache: 'no-store',
    });
    if (!response.ok) throw await refusal(response, clock);
    return response;
  } catch (error) {
    if (signal?.aborted) throw error;
    throw asHttpError(error);
  } finally {
    cancel();
    // A stream's body outlives its head, and the same signal aborts it.
    if (timeoutMs) signal?.removeEventListener('abort', abort);
  }
}

/** A query string of all values but undefined ones. @param {Record<string, unknown>} values */
export function query(values) {
  const pairs = Object.entries(values).filter(([, value]) => value !== undefined);
  return new URLSearchParams(pairs.map(([name, value]) => [name, String(value)]));
}

/** @param {Response} response @param {import('./clock.js').Clock} clock */
async function refusal(response, clock) {
  const body = await response.json().catch(() => ({}));
  const message = body.error ?? `The server answered ${response.status}.`;
  const value = response.headers.get('Retry-After') ?? '';
  const seconds = Number(value);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - clock.now();
  return new HttpError(response.status, body.code ?? 'unknown', message, Math.max(0, ms || 0));
}
