/** Windows of candles that cost what is new in them. */

const MINUTE_MS = 60_000;
const MINUTES = { "1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480, "12h": 720, "1d": 1440 };
/** The numbers of a candle, in the order of a question and of `next-candles`. */
const FIELDS = ["open", "high", "low", "close", "volume"];

/** One number of each of the last one-minute candles, oldest first. */
class Column {
  constructor(name, field) {
    this.name = name;
    this.field = field;
    this.numbers = [];
    /** Up to when the candles are here. */
    this.untilMs = 0;
    /** The longest window that was asked for. */
    this.longest = 0;
  }
}

/**
 * Closed candles up to the question. `host` has `columns(symbol, interval, fields, count)`, null while the market is younger, and
 * `nextCandles(afterMs, count)`; `tick` has the time of the question and the candle that closed then.
 *
 * A question costs some microseconds under QuickJS, and a call of a function a tenth of one. So the way to a column has few of
 * them.
 */
export class Candles {
  #host;
  #symbol;
  #tick;
  #columns = FIELDS.map((name, field) => new Column(name, field));
  #opens = this.#columns[0];
  #highs = this.#columns[1];
  #lows = this.#columns[2];
  #closes = this.#columns[3];
  #volumes = this.#columns[4];
  /** What was missing after a time: every column misses the same. */
  #missedAfterMs = 0;
  #missed = [];
  /** Windows of higher intervals, which stay the same until the next candle closes. */
  #higher = new Map();

  constructor(host, symbol, tick) {
    this.#host = host;
    this.#symbol = symbol;
    this.#tick = tick;
  }

  opens(count, interval, symbol) {
    return interval === undefined && symbol === undefined ? this.#own(this.#opens, count) : this.#any(this.#opens, count, interval, symbol);
  }
  highs(count, interval, symbol) {
    return interval === undefined && symbol === undefined ? this.#own(this.#highs, count) : this.#any(this.#highs, count, interval, symbol);
  }
  lows(count, interval, symbol) {
    return interval === undefined && symbol === undefined ? this.#own(this.#lows, count) : this.#any(this.#lows, count, interval, symbol);
  }
  closes(count, interval, symbol) {
    return interval === undefined && symbol === undefined ? this.#own(this.#closes, count) : this.#any(this.#closes, count, interval, symbol);
  }
  volumes(count, interval, symbol) {
    return interval === undefined && symbol === undefined ? this.#own(this.#volumes, count) : this.#any(this.#volumes, count, interval, symbol);
  }

  last(count, interval = "1m", symbol = this.#symbol) {
    check(count);
    if (symbol === this.#symbol && interval === "1m") {
      const [opens, highs, lows, closes, volumes] = this.#columns.map((column) => this.#own(column, count));
      if (opens === null) return null;
      const firstMs = this.#tick.whenMs - count * MINUTE_MS;
      return opens.map((open, i) => ({
        openTimeMs: firstMs + i * MINUTE_MS, open, high: highs[i], low: lows[i], close: closes[i], volume: volumes[i],
      }));
    }
    const numbers = this.#other(["open-time-ms", ...FIELDS], count, interval, symbol);
    if (numbers === null) return null;
    return Array.from({ length: count }, (_, i) => {
      const [openTimeMs, open, high, low, close, volume] = [0, 1, 2, 3, 4, 5].map((field) => numbers[field * count + i]);
      return { openTimeMs, open, high, low, close, volume };
    });
  }

  /** A column of any interval and symbol. A copy, so an author may keep it and change it. */
  #any(column, count, interval = "1m", symbol = this.#symbol) {
    check(count);
    if (interval === "1m" && symbol === this.#symbol) return this.#own(column, count);
    const numbers = this.#other([column.name], count, interval, symbol);
    return numbers === null ? null : numbers.slice();
  }

  /** The last `count` of the symbol's own minutes. A copy, as above. */
  #own(column, count) {
    const tick = this.#tick, whenMs = tick.whenMs;
    if (column.untilMs !== whenMs || !(count <= column.longest)) {
      if (column.untilMs === whenMs - MINUTE_MS && count <= column.longest) {
        column.numbers.push(tick[column.name]);
        column.untilMs = whenMs;
      } else if (!this.#reach(column, count)) {
        return null;
      }
    }
    const numbers = column.numbers, surplus = numbers.length - count;
    if (surplus > 3 * column.longest + 256) column.numbers = numbers.slice(-column.longest);
    if (!(count >= 1) || surplus % 1 !== 0) check(count);
    // QuickJS copies here much faster than in `slice`, which looks for another class of array and at each element.
    return numbers.toSpliced(0, surplus);
  }

  /** Fills a column up to the question, by what was missed or, where that is more than the window, anew. */
  #reach(column, count) {
    check(count);
    const longest = Math.max(column.longest, count);
    const missing = (this.#tick.whenMs - column.untilMs) / MINUTE_MS;
    if (column.numbers.length >= count && missing <= longest) {
      const missed = this.#missedSince(column.untilMs, missing);
      if (missed.length === missing * 5) {
        for (let at = column.field; at < missed.length; at += 5) column.numbers.push(missed[at]);
        column.untilMs = this.#tick.whenMs;
        column.longest = longest;
        return true;
      }
    }
    const numbers = this.#host.columns(this.#symbol, "1m", [column.name], count);
    column.numbers = numbers ?? [];
    column.untilMs = numbers === null ? 0 : this.#tick.whenMs;
    column.longest = numbers === null ? 0 : count;
    return numbers !== null;
  }

  #missedSince(untilMs, missing) {
    if (missing === 0) return [];
    if (this.#missedAfterMs !== untilMs || this.#missed.length !== missing * 5) {
      this.#missedAfterMs = untilMs;
      this.#missed = this.#host.nextCandles(untilMs - MINUTE_MS, missing);
    }
    return this.#missed;
  }

  /** Numbers of another interval or symbol: the host is asked when a candle has closed since. */
  #other(fields, count, interval, symbol) {
    const minutes = MINUTES[interval];
    const boundary = minutes === undefined ? this.#tick.whenMs : Math.floor(this.#tick.whenMs / (minutes * MINUTE_MS));
    const key = `${symbol} ${interval} ${fields.length === 1 ? fields[0] : ""}`;
    const kept = this.#higher.get(key);
    if (kept !== undefined && kept.boundary === boundary && kept.count === count) return kept.numbers;
    const numbers = this.#host.columns(symbol, interval, fields, count);
    this.#higher.set(key, { boundary, count, numbers });
    return numbers;
  }
}

function check(count) {
  if (!Number.isSafeInteger(count) || count < 1)
    throw new RangeError(`the number of candles must be a whole number of at least 1; found ${count}`);
}
