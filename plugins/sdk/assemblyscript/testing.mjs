// Runs a strategy in Node, on a market that a test makes up. It takes the module that asc wrote, before wasm-tools makes a
// component of it.
//
//   import assert from "node:assert/strict";
//   import { test } from "node:test";
//   import { closes, run } from "./sigbox/testing.mjs";
//
//   test("it buys a dip", async () => {
//     const { answers } = await run("dip.core.wasm", { candles: closes([...Array(60).fill(100), 90]) });
//     assert.equal(answers[60].signal.position, "long");
//   });
import { readFile } from "node:fs/promises";

const MINUTE_MS = 60_000;
const INTERVALS = {
  "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720,
  "1d": 1440,
};
const LEVELS = ["trace", "debug", "info", "warn", "error"];
const POSITIONS = ["long", "short"];

/**
 * Candles of closing prices: a minute apart from the beginning of 2024, each with its close as open, high and low, and a
 * volume of 1.
 */
export function closes(prices) {
  return prices.map((price, i) => ({
    openTimeMs: 1_704_067_200_000 + i * MINUTE_MS, open: price, high: price, low: price, close: price, volume: 1,
  }));
}

class Refused extends Error {
  constructor(code, message) {
    super(`${code}: ${message}`);
    this.code = code;
    this.words = message;
  }
}

/**
 * Starts the strategy of the module and puts a question to it for each candle. The price of a question is the newest close.
 *
 * market: `candles` of its own symbol, one-minute, without gaps; `others`, { SYMBOL: candles }; `symbol`; `settings`, an
 * object; `trades`, its last trades; `memory`, { name: text }; `every`, a question every so many minutes.
 *
 * Returns { answers: [{ whenMs, signal, quiet }], log: ["info a line"], memory, schema, about }. It throws where the strategy
 * refuses its settings, has no answer, throws, or trades although it had promised silence.
 */
export async function run(wasm, market = {}) {
  const { candles = [], others = {}, symbol = "TEST", settings = {}, trades = [], every = 1 } = market;
  const memory = { ...market.memory }, log = [], answers = [];
  let nowMs = 0, answer, failure;
  let guest;
  const view = () => new DataView(guest.memory.buffer);
  const text = (at, len) => new TextDecoder().decode(new Uint8Array(guest.memory.buffer, at, len));
  const textAt = (at) => text(view().getUint32(at, true), view().getUint32(at + 4, true));
  const room = (bytes) => guest.cabi_realloc(0, 0, 8, bytes);
  const u32 = (at, value) => view().setUint32(at, value, true);
  const f64 = (at, value) => view().setFloat64(at, value, true);
  function give(at, value) {
    const bytes = new TextEncoder().encode(value), to = room(bytes.length);
    new Uint8Array(guest.memory.buffer, to, bytes.length).set(bytes);
    u32(at, to);
    u32(at + 4, bytes.length);
  }
  function giveNumbers(at, numbers) {
    const to = room(8 * numbers.length);
    new Float64Array(guest.memory.buffer, to, numbers.length).set(numbers);
    u32(at, to);
    u32(at + 4, numbers.length);
  }
  function giveCandles(at, list) {
    const to = room(48 * list.length);
    list.forEach((candle, i) => {
      view().setBigUint64(to + 48 * i, BigInt(candle.openTimeMs), true);
      ["open", "high", "low", "close", "volume"].forEach((field, j) => f64(to + 48 * i + 8 + 8 * j, candle[field]));
    });
    u32(at, to);
    u32(at + 4, list.length);
  }
  /** A result of the host at `ret`, with its value at `at`. */
  function result(ret, at, give_) {
    try {
      give_();
      view().setUint8(ret, 0);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      give(ret + at, error.code);
      give(ret + at + 8, error.words);
      view().setUint8(ret, 1);
    }
  }
  function closed(of, interval) {
    const minutes = of === symbol ? candles : others[of], span = INTERVALS[interval];
    if (!minutes) throw new Refused("unknown-symbol", `there are no candles of ${of}`);
    if (!span) throw new Refused("unknown-interval", `"${interval}" is no interval`);
    const known = minutes.filter((minute) => minute.openTimeMs + MINUTE_MS <= nowMs);
    if (span === 1) return known;
    const higher = [];
    for (let i = 0; i + span <= known.length; i++) {
      if (known[i].openTimeMs % (span * MINUTE_MS) !== 0) continue;
      const part = known.slice(i, i + span);
      higher.push({
        ...part[0], high: Math.max(...part.map((c) => c.high)), low: Math.min(...part.map((c) => c.low)),
        close: part[span - 1].close, volume: part.reduce((sum, c) => sum + c.volume, 0),
      });
    }
    return higher;
  }
  function last(of, interval, limit) {
    const known = closed(of, interval);
    if (limit > 10_080) throw new Refused("too-many", `${limit} candles asked for`);
    if (limit > known.length) throw new Refused("not-enough-history", `${limit} candles asked for; ${known.length} are known`);
    return known.slice(known.length - limit);
  }
  const after = (of, interval, afterMs, limit) =>
    closed(of, interval).filter((candle) => candle.openTimeMs > Number(afterMs)).slice(0, limit);
  const size = (name, value) => Buffer.byteLength(name) + Buffer.byteLength(value) + 64;
  const option = (at, read) => (view().getUint8(at) ? read() : undefined);
  const number = (at) => option(at, () => view().getFloat64(at + 8, true));
  const optionalText = (at) => option(at, () => textAt(at + 4));
  const imports = {
    "sigbox:host/session@0.1.0": {
      symbol: (ret) => give(ret, symbol),
      strategy: (ret) => give(ret, "test"),
      exchange: (ret) => give(ret, "test"),
      frame: (ret) => view().setUint8(ret, 0),
      settings: (ret) => give(ret, JSON.stringify(settings)),
    },
    "sigbox:host/clock@0.1.0": { "now-ms": () => BigInt(nowMs) },
    "sigbox:host/logging@0.1.0": {
      log: (level, _target, _targetLen, line, len) => log.push(`${LEVELS[level]} ${text(line, len)}`),
    },
    "sigbox:host/market@0.1.0": {
      candles: (a, al, b, bl, limit, ret) =>
        result(ret, 4, () => giveCandles(ret + 4, last(text(a, al), text(b, bl), limit >>> 0))),
      "candles-after": (a, al, b, bl, afterMs, limit, ret) =>
        result(ret, 4, () => giveCandles(ret + 4, after(text(a, al), text(b, bl), afterMs, limit >>> 0))),
      columns: (a, al, b, bl, fields, count, limit, ret) => {
        const names = Array.from({ length: count }, (_, i) => textAt(fields + 8 * i));
        result(ret, 4, () => {
          const list = last(text(a, al), text(b, bl), limit >>> 0);
          const numbers = names.flatMap((name) => list.map((candle) => {
            const found = name === "open-time-ms" ? candle.openTimeMs : candle[name];
            if (found === undefined) throw new Refused("unknown-field", `a candle has no "${name}"`);
            return found;
          }));
          giveNumbers(ret + 4, numbers);
        });
      },
      "next-candles": (afterMs, limit, ret) => {
        const list = after(symbol, "1m", afterMs, Math.min(limit >>> 0, 10_080));
        const follows = list.length > 0 && list[0].openTimeMs === Number(afterMs) + MINUTE_MS;
        giveNumbers(ret, follows ? list.flatMap((c) => [c.open, c.high, c.low, c.close, c.volume]) : []);
      },
      // The average of the last five closes, each as heavy as its volume.
      "average-price": (a, al, ret) => result(ret, 8, () => {
        const list = last(text(a, al), "1m", 5), volume = list.reduce((sum, c) => sum + c.volume, 0);
        f64(ret + 8, volume ? list.reduce((sum, c) => sum + c.close * c.volume, 0) / volume : list[4].close);
      }),
    },
    "sigbox:host/trades@0.1.0": {
      last: (n, ret) => {
        const list = trades.slice(Math.max(0, trades.length - (n >>> 0))), to = room(96 * list.length);
        list.forEach((trade, i) => {
          const at = to + 96 * i;
          give(at, trade.id ?? "");
          view().setUint8(at + 8, Math.max(0, POSITIONS.indexOf(trade.position)));
          view().setBigUint64(at + 16, BigInt(trade.openedMs ?? 0), true);
          view().setBigUint64(at + 24, BigInt(trade.closedMs ?? 0), true);
          ["priceOpen", "priceClose", "cost", "pnlPercentage", "pnlCost"].forEach((f, j) => f64(at + 32 + 8 * j, trade[f] ?? 0));
          give(at + 72, trade.reason ?? "");
          view().setUint8(at + 80, 0);
        });
        u32(ret, to);
        u32(ret + 4, list.length);
      },
    },
    "sigbox:host/memory@0.1.0": {
      get: (name, len, ret) => {
        const value = memory[text(name, len)];
        if (value !== undefined) give(ret + 4, value);
        view().setUint8(ret, value === undefined ? 0 : 1);
      },
      set: (name, len, value, valueLen, ret) => result(ret, 4, () => {
        const changed = { ...memory, [text(name, len)]: text(value, valueLen) };
        const bytes = Object.entries(changed).reduce((sum, [n, v]) => sum + size(n, v), 0);
        if (bytes > 16_384) throw new Refused("too-large", `${bytes} bytes to remember; a strategy has 16384`);
        Object.assign(memory, changed);
      }),
      remove: (name, len) => delete memory[text(name, len)],
    },
    "sigbox:strategy/answer@0.1.0": {
      trade: (at) => {
        answer.signal = {
          id: optionalText(at), position: POSITIONS[view().getUint8(at + 24)], limit: number(at + 32),
          takeProfit: view().getFloat64(at + 48, true), stopLoss: view().getFloat64(at + 56, true), minutes: number(at + 64),
          cost: number(at + 80), multiplier: number(at + 96),
          isolated: option(at + 112, () => view().getUint8(at + 113) === 1), note: optionalText(at + 116),
        };
      },
      fail: (code, codeLen, message, messageLen, retryable) => {
        failure = `${text(code, codeLen)}: ${text(message, messageLen)}${retryable ? "" : "; it gives up"}`;
      },
      quiet: (untilMs, below, above) => (answer.quiet = { untilMs: Number(BigInt.asUintN(64, untilMs)), below, above }),
    },
  };
  const call = (name, ...values) => {
    try {
      return guest[`sigbox:strategy/strategy@0.1.0#${name}`](...values);
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error;
      throw new Error(`${name}: ${error.message}; the log ends with: ${log.at(-1)}`, { cause: error });
    }
  };
  const { instance } = await WebAssembly.instantiate(await readFile(wasm), imports);
  guest = instance.exports;
  const described = call("describe");
  const about = { name: textAt(described), version: textAt(described + 8), interval: textAt(described + 16) };
  const schema = JSON.parse(optionalText(described + 24) ?? "null");
  const started = call("start");
  if (view().getUint8(started)) throw new Error(textAt(started + 12));
  let promise;
  for (const [i, { openTimeMs, open, high, low, close, volume }] of candles.entries()) {
    nowMs = openTimeMs + MINUTE_MS;
    const [least, most] = [Math.min(low, close), Math.max(high, close)];
    if (promise && (nowMs >= promise.untilMs || least < promise.below || most > promise.above)) promise = undefined;
    if ((nowMs / MINUTE_MS) % every !== 0) continue;
    answer = { whenMs: nowMs, signal: undefined, quiet: undefined };
    call("get-signal", BigInt(nowMs), close, open, high, low, close, volume);
    if (failure) throw new Error(`candle ${i}: ${failure}`);
    if (promise && answer.signal) throw new Error(`candle ${i}: it traded, although it had promised silence`);
    promise ??= answer.quiet;
    answers.push(answer);
  }
  return { answers, log, memory, schema, about };
}
