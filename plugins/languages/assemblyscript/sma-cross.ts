// Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below.
import { column, descriptor, refused, settings, started, trade } from "./sigbox";
export { cabi_realloc } from "./sigbox";

const MINUTE_MS: u64 = 60_000;

let fast: f64 = 20, slow: f64 = 60, takeProfitPercent: f64 = 1.0, stopLossPercent: f64 = 0.6, minutes: f64 = 240;

// Room for closes; `length` of them are known, oldest first, and the newest is of `newestMs`.
let closes = new StaticArray<f64>(0);
let length = 0;
let newestMs: u64 = 0;

export function describe(): usize {
  return descriptor("sma-cross", "0.1.0", "1m");
}

export function start(): usize {
  const given = settings();
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i], value = F64.parseFloat(given[i + 1]), isWhole = !name.endsWith("-percent");
    if (isWhole ? !(Math.floor(value) == value) : isNaN(value))
      return refused(name + " must be a " + (isWhole ? "whole number" : "number") + "; found " + given[i + 1]);
    if (name == "fast") fast = value;
    else if (name == "slow") slow = value;
    else if (name == "take-profit-percent") takeProfitPercent = value;
    else if (name == "stop-loss-percent") stopLossPercent = value;
    else if (name == "minutes") minutes = value;
    else return refused("there is no setting " + name);
  }
  if (fast < 1 || fast >= slow)
    return refused(`fast must be at least 1 and below slow; found fast ${<i32>fast} slow ${<i32>slow}`);
  closes = new StaticArray<f64>(4 * (<i32>slow + 1));
  return started();
}

export function getSignal(whenMs: u64, price: f64, open: f64, high: f64, low: f64, close: f64, volume: f64): void {
  const count = <i32>slow + 1;
  if (!fillWindow(count, whenMs, close)) return;
  const start = length - count, at = start + count - 1 - <i32>fast, end = length - 1;
  const first = closes[start], firstFast = closes[at], last = closes[end];
  const shared = sum(at + 1, end);
  const sharedSlow = sum(start + 1, at) + firstFast + shared;
  const before = (firstFast + shared) / fast > (first + sharedSlow) / slow;
  const now = (shared + last) / fast > (sharedSlow + last) / slow;
  if (before == now) return;
  const up: f64 = now ? 1 : -1;
  trade(!now, price * (1 + up * takeProfitPercent / 100), price * (1 - up * stopLossPercent / 100), minutes);
}

const field = String.UTF8.encode("close");

/** Whether there are `count` closes. The one that is new came with the question. */
function fillWindow(count: i32, whenMs: u64, close: f64): bool {
  if (length > 0 && whenMs == newestMs + MINUTE_MS) {
    if (length == closes.length) {
      const kept = count - 1, from = changetype<usize>(closes) + ((length - kept) << 3);
      memory.copy(changetype<usize>(closes), from, kept << 3);
      length = kept;
    }
    closes[length++] = close;
  } else {
    length = column(field, count, closes) ? count : 0;
  }
  newestMs = whenMs;
  return length > 0;
}

/** The sum of closes in eight lanes, as the Rust sample adds: the same bits for the same candles. */
function sum(from: i32, to: i32): f64 {
  memory.fill(changetype<usize>(lanes), 0, 64);
  for (let i = from; i < to; i++) lanes[(i - from) & 7] += closes[i];
  return ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
}

const lanes = new StaticArray<f64>(8);
