export * from '../client/elements/dates.js';
