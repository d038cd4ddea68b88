/** Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below. */
import { Refuse, long, short, strategy, whole } from "sigbox";

export const settings = { fast: whole(20), slow: whole(60), takeProfitPercent: 1.0, stopLossPercent: 0.6, minutes: whole(240) };

export function start({ fast, slow }) {
  if (fast < 1 || fast >= slow) throw new Refuse(`fast must be at least 1 and below slow; found fast ${fast} slow ${slow}`);
}

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
  },
});

/** Whether the fast average is above the slow one, before the last close and with it. */
export function above(closes, fast) {
  const slow = closes.length - 1, at = slow - fast, last = closes[slow];
  const shared = sum(closes, at + 1, slow);
  const sharedSlow = sum(closes, 1, at) + closes[at] + shared;
  const before = (closes[at] + shared) / fast > (closes[0] + sharedSlow) / slow;
  return [before, (shared + last) / fast > (sharedSlow + last) / slow];
}

/** A position: long if the fast average is above the slow one now. */
export function enter(price, isAbove, { takeProfitPercent, stopLossPercent, minutes }) {
  const up = isAbove ? 1 : -1;
  return (isAbove ? long : short)({
    takeProfit: price * (1 + (up * takeProfitPercent) / 100),
    stopLoss: price * (1 - (up * stopLossPercent) / 100),
    minutes,
  });
}

/** The sum of closes in eight lanes, as the Rust sample adds: the same bits for the same candles. */
function sum(closes, from, to) {
  let a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = from;
  for (; i + 8 <= to; i += 8) {
    a += closes[i]; b += closes[i + 1]; c += closes[i + 2]; d += closes[i + 3];
    e += closes[i + 4]; f += closes[i + 5]; g += closes[i + 6]; h += closes[i + 7];
  }
  if (i < to) a += closes[i];
  if (i + 1 < to) b += closes[i + 1];
  if (i + 2 < to) c += closes[i + 2];
  if (i + 3 < to) d += closes[i + 3];
  if (i + 4 < to) e += closes[i + 4];
  if (i + 5 < to) f += closes[i + 5];
  if (i + 6 < to) g += closes[i + 6];
  return a + e + (b + f) + (c + g + (d + h));
}
