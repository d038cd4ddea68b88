/**
 * Strategies in JavaScript. Nothing here needs the sandbox, so a strategy runs under Node as it is: see `sigbox/testing`.
 * The types and what they mean are in index.d.ts.
 */
export { Candles } from "./candles.js";
export { whole } from "./settings.js";
export { Refuse, Retry, long, quiet, short, strategy } from "./strategy.js";
