// Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
import { long, number, Numbers, short, Signal, strategy, Tick, whole } from "../../sdk/assemblyscript/sigbox";
export { cabi_realloc, describe, start, getSignal } from "../../sdk/assemblyscript/sigbox";

const fast = whole("fast", 20, "candles in the fast average");
const slow = whole("slow", 60, "candles in the slow average");
const takeProfitPercent = number("take-profit-percent", 1.0, "distance of the take-profit from the price, percent");
const stopLossPercent = number("stop-loss-percent", 0.6, "distance of the stop-loss from the price, percent");
const minutes = whole("minutes", 240, "lifetime of a position, minutes");

function check(): string | null {
  if (fast.value >= 1 && fast.value < slow.value) return null;
  return `fast must be at least 1 and below slow; found fast ${fast.value} slow ${slow.value}`;
}

function smaCross(tick: Tick): Signal | null {
  const closes = tick.closes(slow.value + 1);
  if (!closes) return null;
  const at = slow.value - fast.value, end = slow.value;
  const first = closes[0], firstFast = closes[at], last = closes[end];
  const shared = sum(closes, at + 1, end);
  const sharedSlow = sum(closes, 1, at) + firstFast + shared;
  const before = (firstFast + shared) / fast.value > (first + sharedSlow) / slow.value;
  const now = (shared + last) / fast.value > (sharedSlow + last) / slow.value;
  if (before == now) return null;
  const up: f64 = now ? 1 : -1;
  const takeProfit = tick.price * (1 + up * takeProfitPercent.value / 100);
  const stopLoss = tick.price * (1 - up * stopLossPercent.value / 100);
  return (now ? long(takeProfit, stopLoss) : short(takeProfit, stopLoss)).lasting(minutes.value);
}

/** The sum of closes in eight lanes, as the Rust sample adds: the same bits for the same candles. */
function sum(closes: Numbers, from: i32, to: i32): f64 {
  let a: f64 = 0, b: f64 = 0, c: f64 = 0, d: f64 = 0, e: f64 = 0, f: f64 = 0, g: f64 = 0, h: f64 = 0;
  for (; from + 8 <= to; from += 8) {
    a += closes[from];
    b += closes[from + 1];
    c += closes[from + 2];
    d += closes[from + 3];
    e += closes[from + 4];
    f += closes[from + 5];
    g += closes[from + 6];
    h += closes[from + 7];
  }
  const rest = to - from;
  if (rest > 0) a += closes[from];
  if (rest > 1) b += closes[from + 1];
  if (rest > 2) c += closes[from + 2];
  if (rest > 3) d += closes[from + 3];
  if (rest > 4) e += closes[from + 4];
  if (rest > 5) f += closes[from + 5];
  if (rest > 6) g += closes[from + 6];
  return ((a + e) + (b + f)) + ((c + g) + (d + h));
}

strategy("sma-cross", "0.1.0", "1m", smaCross, check);
