/** Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below. */
import { fail, trade } from "sigbox:strategy/answer@0.1.0";
import { columns } from "sigbox:host/market@0.1.0";
import * as session from "sigbox:host/session@0.1.0";

export const MINUTE_MS = 60_000;

export const settings = { fast: 20, slow: 60, "take-profit-percent": 1.0, "stop-loss-percent": 0.6, minutes: 240 };
let symbol;

/** The last closes, oldest first, and the minute of the newest. */
export let closes = [];
let newestMs = 0;

export const strategy = {
  describe() {
    return { name: "sma-cross", version: "0.1.0", interval: "1m", settingsSchema: null, features: [], extra: null };
  },

  start() {
    for (const [name, value] of Object.entries(JSON.parse(session.settings()))) {
      if (!(name in settings)) refuse(`there is no setting ${name}; there are: ${Object.keys(settings).join(", ")}`);
      const isWhole = !name.endsWith("-percent");
      if (isWhole ? !Number.isInteger(value) : typeof value !== "number")
        refuse(`${name} must be a ${isWhole ? "whole number" : "number"}; found ${JSON.stringify(value)}`);
      settings[name] = value;
    }
    const { fast, slow } = settings;
    if (fast < 1 || fast >= slow) refuse(`fast must be at least 1 and below slow; found fast ${fast} slow ${slow}`);
    symbol = session.symbol();
  },

  getSignal(whenMs, price, open, high, low, close, volume) {
    if (!fillWindow(settings.slow + 1, whenMs, close)) return;
    const [before, now] = above();
    if (before !== now) enter(price, now);
  },
};

/** Whether the fast average is above the slow one, before the last close and with it. */
export function above() {
  const { fast, slow } = settings;
  const at = slow - fast, last = closes[slow];
  const shared = sum(at + 1, slow);
  const sharedSlow = sum(1, at) + closes[at] + shared;
  const before = (closes[at] + shared) / fast > (closes[0] + sharedSlow) / slow;
  return [before, (shared + last) / fast > (sharedSlow + last) / slow];
}

/** Proposes a position: long if the fast average is above the slow one now. */
export function enter(price, isAbove) {
  const up = isAbove ? 1 : -1;
  trade({
    id: null,
    symbol: null,
    position: isAbove ? "long" : "short",
    priceOpen: null,
    priceTakeProfit: price * (1 + (up * settings["take-profit-percent"]) / 100),
    priceStopLoss: price * (1 - (up * settings["stop-loss-percent"]) / 100),
    minuteEstimatedTime: settings.minutes,
    cost: null,
    multiplier: null,
    isolated: null,
    note: null,
    extra: null,
  });
}

/** Whether there are `count` closes. The one that is new came with the question. */
export function fillWindow(count, whenMs, close) {
  if (closes.length === count && whenMs === newestMs + MINUTE_MS) {
    closes.shift();
    closes.push(close);
  } else {
    try {
      closes = columns(symbol, "1m", ["close"], count);
    } catch (error) {
      closes = [];
      const { code, message } = error.payload;
      if (code !== "not-enough-history") fail(code, message, true);
      return false;
    }
  }
  newestMs = whenMs;
  return true;
}

/** The sum of closes in eight lanes, as the Rust sample adds: the same bits for the same candles. */
function sum(from, to) {
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

function refuse(message) {
  throw { code: "settings", message, retryable: false, extra: null };
}
