const TIMEOUT_MS = 15_000;

/** An answer that is not 2xx, or none at all: then `status` is 0. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} code stable slug of the server, or `network`
   * @param {string} message one sentence for a person
   * @param {number} [retryAfterMs]
   */
  constructor(status, code, message, retryAfterMs = 0) {
    super(message);
    this.name = 'ApiError';
    this.status = status;
    this.code = code;
    this.retryAfterMs = retryAfterMs;
  }

  /** True when the same request may succeed later without any change. */
  get passing() {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/**
 * One call to the server.
 * @param {string} method
 * @param {string} path
 * @param {{body?: object, token?: string, signal?: AbortSignal, timeoutMs?: number}} [options]
 *   `timeoutMs` 0 waits without end, for streams
 * @returns {Promise<Response>} a 2xx answer
 * @throws {ApiError} for any other answer and for none; AbortError when `signal` fired
 */
export async function request(method, path, { body, token, signal, timeoutMs = TIMEOUT_MS } = {}) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers['Content-Type'] = 'application/json';
  const signals = [signal, timeoutMs && AbortSignal.timeout(timeoutMs)].filter(Boolean);
  let response;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body && JSON.stringify(body),
      signal: signals.length ? AbortSignal.any(signals) : undefined,
      cache: 'no-store',
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'network', 'The server cannot be reached.');
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const message = body.error ?? `The server answered ${response.status}.`;
  return new ApiError(response.status, body.code ?? 'unknown', message, retryAfterMs(response));
}

function retryAfterMs(response) {
  const value = response.headers.get('Retry-After');
  if (!value) return 0;
  const seconds = Number(value);
  return Math.max(0, Number.isFinite(seconds) ? seconds * 1000 : Date.parse(value) - Date.now()) || 0;
}
