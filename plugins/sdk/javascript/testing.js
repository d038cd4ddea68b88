/** A market for tests, and a strategy that is asked on it. The types and what they mean are in testing.d.ts. */
import { Retry, isQuiet, started } from "./strategy.js";
import { decode, encode } from "./utf8.js";

const MINUTE_MS = 60_000;
const MINUTES = { "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720, "1d": 1440 };
/** Of how many candles the engine takes the average price, unless it is told otherwise. */
const AVERAGE_OF = 5;

export function candles(rows, { startMs = 0 } = {}) {
  return rows.map((row, minute) => ({ volume: 1, ...row, openTimeMs: startMs + minute * MINUTE_MS }));
}

export function closes(prices, options) {
  return candles(prices.map((price) => ({ open: price, high: price, low: price, close: price })), options);
}

/** What the sandbox lends, from candles in memory. Nothing that closes after `nowMs` is shown. */
class Market {
  nowMs = 0;
  #kept = new Map();
  constructor(series, done) {
    this.series = series;
    this.done = done;
  }

  closed(symbol) {
    const candles = this.series[symbol];
    if (candles === undefined) throw new Retry(`there are no candles of ${symbol}; there are candles of ${Object.keys(this.series).join(", ")}`, "unknown-symbol");
    return candles.filter(({ openTimeMs }) => openTimeMs + MINUTE_MS <= this.nowMs);
  }

  columns(symbol, interval, fields, count) {
    if (!(interval in MINUTES)) throw new Retry(`there is no interval ${interval}; there are ${Object.keys(MINUTES).join(", ")}`, "unknown-interval");
    const bars = inInterval(this.closed(symbol), MINUTES[interval]);
    if (bars.length < count) return null;
    const name = (field) => (field === "open-time-ms" ? "openTimeMs" : field);
    return fields.flatMap((field) => bars.slice(-count).map((bar) => bar[name(field)]));
  }

  nextCandles(afterMs, count) {
    const rows = this.closed(this.symbol).filter(({ openTimeMs }) => openTimeMs > afterMs).slice(0, count);
    return rows.flatMap(({ open, high, low, close, volume }) => [open, high, low, close, volume]);
  }

  averagePrice(symbol) {
    const last = this.closed(symbol).slice(-AVERAGE_OF);
    if (last.length < AVERAGE_OF) throw new Retry(`fewer than ${AVERAGE_OF} candles of ${symbol} have closed`, "not-enough-history");
    return average(last);
  }

  trades = (count) => this.done.slice(-count);
  remembered = (name) => this.#kept.get(name) ?? null;
  remember = (name, value) => void this.#kept.set(name, value);
  forget = (name) => void this.#kept.delete(name);

  set memory(values) {
    for (const [name, value] of Object.entries(values)) this.#kept.set(name, encode(JSON.stringify(value)));
  }
  get memory() {
    return Object.fromEntries([...this.#kept].map(([name, bytes]) => [name, JSON.parse(decode(bytes, true))]));
  }
}

function average(candles) {
  let weighted = 0, volume = 0, sum = 0;
  for (const candle of candles) {
    weighted += ((candle.high + candle.low + candle.close) / 3) * candle.volume;
    volume += candle.volume;
    sum += candle.close;
  }
  return volume === 0 ? sum / candles.length : weighted / volume;
}

/** Bars of complete candles, aligned to the epoch. */
function inInterval(candles, minutes) {
  if (minutes === 1) return candles;
  const bars = [], length = minutes * MINUTE_MS;
  for (let at = 0; at < candles.length; at++) {
    const part = candles.slice(at, at + minutes);
    if (candles[at].openTimeMs % length !== 0 || part.length < minutes) continue;
    bars.push({
      openTimeMs: part[0].openTimeMs, open: part[0].open, close: part.at(-1).close,
      high: Math.max(...part.map(({ high }) => high)), low: Math.min(...part.map(({ low }) => low)),
      volume: part.reduce((sum, { volume }) => sum + volume, 0),
    });
  }
  return bars;
}

/** Asks at every due minute of the first symbol's candles, or at the last one only. */
function answers(strategy, series, options, isLastOnly) {
  const { settings = {}, session = {}, trades = [], memory = {} } = options;
  const all = Array.isArray(series) ? { [session.symbol ?? "BTCUSDT"]: series } : series;
  const symbol = session.symbol ?? Object.keys(all)[0];
  if (!all[symbol]?.length) throw new RangeError(`there are no candles of ${symbol}`);
  const market = new Market(all, trades);
  market.symbol = symbol;
  market.memory = memory;
  const who = { symbol, strategy: strategy.name, exchange: "test", frame: null, ...session };
  const question = started(strategy, market, who, settings);
  const own = all[symbol], said = [];
  const every = MINUTES[options.interval ?? strategy.interval] * MINUTE_MS;
  for (let at = isLastOnly ? own.length - 1 : 0; at < own.length; at++) {
    const { openTimeMs, open, high, low, close, volume } = own[at];
    const whenMs = openTimeMs + MINUTE_MS;
    if (!isLastOnly && (at + 1 < AVERAGE_OF || whenMs % every !== 0)) continue;
    market.nowMs = whenMs;
    const price = average(own.slice(Math.max(0, at + 1 - AVERAGE_OF), at + 1));
    said.push({ whenMs, price, answer: question(whenMs, price, open, high, low, close, volume), memory: market.memory });
  }
  return said;
}

export const ask = (strategy, series, options = {}) => answers(strategy, series, options, true)[0].answer;
export const play = (strategy, series, options = {}) => answers(strategy, series, options, false);
export { isQuiet };
