const FIRST_MS = 1000;
const LONGEST_MS = 10_000;

/**
 * Milliseconds to wait before try number `attempt` (from 0): 1 s doubled each time up to 10 s,
 * of which a random half is taken off so that clients cut off together do not return together.
 * @param {number} attempt
 * @param {number} [atLeastMs] what the server asked for, from Retry-After
 */
export function backoff(attempt, atLeastMs = 0) {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
  return Math.max(atLeastMs, full * (0.5 + Math.random() / 2));
}
