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

const lanes = new StaticArray<f64>(8);

/** The sum of closes in eight lanes, as the Rust sample adds: the same bits for the same candles. */
function sum(closes: Numbers, from: i32, to: i32): f64 {
  memory.fill(changetype<usize>(lanes), 0, 64);
  for (let i = from; i < to; i++) lanes[(i - from) & 7] += closes[i];
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

strategy("sma-cross", "0.1.0", "1m", smaCross, check);
