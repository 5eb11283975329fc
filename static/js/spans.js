import { formatBrief } from './dates.js';

const UNITS = [['day', 86_400], ['hour', 3600], ['minute', 60], ['second', 1]];

/** Seconds in words, by the largest unit that fits: "10 minutes". @param {number} seconds */
export function inWords(seconds) {
  const [unit, size] = UNITS.find(([, length]) => seconds >= length) ?? UNITS.at(-1);
  const count = Math.round((seconds / size) * 10) / 10;
  return `${count.toLocaleString()} ${unit}${count === 1 ? '' : 's'}`;
}

/** @param {number | null | undefined} until milliseconds since 1970; none: forever */
export function untilWords(until) {
  return until ? `until ${formatBrief(until)}` : 'forever';
}
