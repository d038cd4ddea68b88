/** sma-cross, which promises silence while the averages cannot cross. It trades the same. */
import { quiet, strategy } from "sigbox";
import { above, enter, settings, start } from "./sma-cross.js";

export default strategy({
  name: "sma-cross",
  interval: "1m",
  settings,
  start,

  signal({ price, candles }, settings) {
    const closes = candles.closes(settings.slow + 1);
    if (!closes) return;
    const [before, now] = above(closes, settings.fast);
    if (before !== now) return enter(price, now, settings);
    const promise = calm(closes.slice(1), settings.fast);
    if (promise) return quiet({ minutes: promise.minutes + 1, below: promise.below, above: promise.above });
  },
});

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
