/** Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below. */
import { fail, trade } from "sigbox:strategy/answer@0.1.0";
import { columns } from "sigbox:host/market@0.1.0";
import * as session from "sigbox:host/session@0.1.0";

const MINUTE_MS = 60_000;

const settings = { fast: 20, slow: 60, "take-profit-percent": 1.0, "stop-loss-percent": 0.6, minutes: 240 };
let symbol: string;

/** The last closes, oldest first, and the minute of the newest. */
let closes: number[] = [];
let newestMs = 0;

export const strategy: Strategy = {
  describe() {
    return { name: "sma-cross", version: "0.1.0", interval: "1m", settingsSchema: null, features: [], extra: null };
  },

  start() {
    for (const [name, value] of Object.entries<unknown>(JSON.parse(session.settings()))) {
      if (!isSetting(name)) refuse(`there is no setting ${name}; there are: ${Object.keys(settings).join(", ")}`);
      const isWhole = !name.endsWith("-percent");
      if (typeof value !== "number" || (isWhole && !Number.isInteger(value)))
        refuse(`${name} must be a ${isWhole ? "whole number" : "number"}; found ${JSON.stringify(value)}`);
      settings[name] = value;
    }
    const { fast, slow } = settings;
    if (fast < 1 || fast >= slow) refuse(`fast must be at least 1 and below slow; found fast ${fast} slow ${slow}`);
    symbol = session.symbol();
  },

  getSignal(whenMs, price, _open, _high, _low, close, _volume) {
    if (!fillWindow(settings.slow + 1, whenMs, close)) return;
    const { fast, slow } = settings;
    const at = slow - fast, last = closes[slow];
    const shared = sum(at + 1, slow);
    const sharedSlow = sum(1, at) + closes[at] + shared;
    const before = (closes[at] + shared) / fast > (closes[0] + sharedSlow) / slow;
    const now = (shared + last) / fast > (sharedSlow + last) / slow;
    if (before === now) return;
    const up = now ? 1 : -1;
    trade({
      id: null,
      symbol: null,
      position: now ? "long" : "short",
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
  },
};

/** Whether there are `count` closes. The one that is new came with the question. */
function fillWindow(count: number, whenMs: number, close: number): boolean {
  if (closes.length === count && whenMs === newestMs + MINUTE_MS) {
    closes.shift();
    closes.push(close);
  } else {
    try {
      closes = columns(symbol, "1m", ["close"], count);
    } catch (error) {
      closes = [];
      const { code, message } = (error as { payload: { code: string; message: string } }).payload;
      if (code !== "not-enough-history") fail(code, message, true);
      return false;
    }
  }
  newestMs = whenMs;
  return true;
}

/** The sum of closes in eight lanes, as the Rust sample adds: the same bits for the same candles. */
function sum(from: number, to: number): number {
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

function isSetting(name: string): name is keyof typeof settings {
  return name in settings;
}

function refuse(message: string): never {
  throw { code: "settings", message, retryable: false, extra: null } satisfies Failure;
}
