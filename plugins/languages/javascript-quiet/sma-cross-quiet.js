/** sma-cross, which promises silence while the averages cannot cross. It trades the same. */
import { quiet } from "sigbox:strategy/answer@0.1.0";
import { MINUTE_MS, above, closes, enter, fillWindow, settings, strategy as plain } from "./sma-cross.js";

export const strategy = {
  ...plain,

  getSignal(whenMs, price, open, high, low, close, volume) {
    if (!fillWindow(settings.slow + 1, whenMs, close)) return;
    const [before, now] = above();
    if (before !== now) return enter(price, now);
    const promise = calm(closes.slice(1), settings.fast);
    if (promise) quiet(whenMs + (promise.minutes + 1) * MINUTE_MS, promise.below, promise.above);
  },
};

/**
 * For how many minutes the averages cannot cross, as long as no close is below or above a bound; null: for none.
 * plugins/strategies/sma-cross-quiet says why.
 */
function calm(closes, fast) {
  const slow = closes.length, newest = closes[slow - 1];
  let sum = 0, sumFast = 0, most = 0, moved = 0;
  for (let i = 0; i < slow; i++) {
    const close = closes[i];
    sum += close;
    if (i >= slow - fast) sumFast += close;
    if (i > 0) moved += Math.abs(close - closes[i - 1]);
    most = Math.max(most, close);
  }
  const gap = sumFast / fast - sum / slow, margin = 1e-9 * most;
  if (Math.abs(gap) <= margin) return null;
  const up = Math.sign(gap), usual = moved / (slow - 1), weight = 1 / fast - 1 / slow;
  let known = gap, room = Infinity, found = 0;
  for (let minutes = 1; minutes <= fast; minutes++) {
    known += closes[minutes - 1] / slow - closes[slow - fast + minutes - 1] / fast;
    const level = (up * margin - known) / (minutes * weight);
    const left = Math.min(room, up * (newest - level));
    if (left <= usual * Math.sqrt(minutes)) break;
    found = minutes;
    room = left;
  }
  if (found === 0) return null;
  const level = newest - up * room;
  return { minutes: found, below: up > 0 ? level : -Infinity, above: up > 0 ? Infinity : level };
}
