// Strategies for sigbox in AssemblyScript. A strategy is a function that says whether to trade:
//
//   import { highest, long, number, Signal, strategy, Tick } from "./sigbox";
//   export { cabi_realloc, describe, start, getSignal } from "./sigbox";
//
//   const percent = number("percent", 1.0, "how far below the high it buys");
//
//   function dip(tick: Tick): Signal | null {
//     const highs = tick.highs(60);
//     if (!highs || tick.price > highest(highs) * (1 - percent.value / 100)) return null;
//     return long(tick.price * 1.02, tick.price * 0.99).lasting(240);
//   }
//
//   strategy("dip", "0.1.0", "5m", dip);
//
// exports.mjs beside this file gives the exports their names, and abort() its words. testing.mjs runs the module in Node.

@external("sigbox:host/session@0.1.0", "symbol")
declare function hostSymbol(ret: usize): void;
@external("sigbox:host/session@0.1.0", "strategy")
declare function hostStrategy(ret: usize): void;
@external("sigbox:host/session@0.1.0", "exchange")
declare function hostExchange(ret: usize): void;
@external("sigbox:host/session@0.1.0", "frame")
declare function hostFrame(ret: usize): void;
@external("sigbox:host/session@0.1.0", "settings")
declare function hostSettings(ret: usize): void;
@external("sigbox:host/logging@0.1.0", "log")
declare function hostLog(level: i32, target: usize, targetLen: usize, line: usize, len: usize): void;
@external("sigbox:host/market@0.1.0", "candles")
declare function hostCandles(
  symbol: usize, symbolLen: usize, interval: usize, intervalLen: usize, limit: u32, ret: usize,
): void;
@external("sigbox:host/market@0.1.0", "candles-after")
declare function hostCandlesAfter(
  symbol: usize, symbolLen: usize, interval: usize, intervalLen: usize, afterMs: u64, limit: u32, ret: usize,
): void;
@external("sigbox:host/market@0.1.0", "columns")
declare function hostColumns(
  symbol: usize, symbolLen: usize, interval: usize, intervalLen: usize, fields: usize, fieldsLen: usize, limit: u32,
  ret: usize,
): void;
@external("sigbox:host/market@0.1.0", "next-candles")
declare function hostNextCandles(afterMs: u64, limit: u32, ret: usize): void;
@external("sigbox:host/market@0.1.0", "average-price")
declare function hostAveragePrice(symbol: usize, symbolLen: usize, ret: usize): void;
@external("sigbox:host/trades@0.1.0", "last")
declare function hostTrades(n: u32, ret: usize): void;
@external("sigbox:host/memory@0.1.0", "get")
declare function hostGet(name: usize, len: usize, ret: usize): void;
@external("sigbox:host/memory@0.1.0", "set")
declare function hostSet(name: usize, len: usize, value: usize, valueLen: usize, ret: usize): void;
@external("sigbox:host/memory@0.1.0", "remove")
declare function hostRemove(name: usize, len: usize): void;
@external("sigbox:strategy/answer@0.1.0", "trade")
declare function hostTrade(signal: usize): void;
@external("sigbox:strategy/answer@0.1.0", "fail")
declare function hostFail(code: usize, codeLen: usize, message: usize, messageLen: usize, retryable: bool): void;
@external("sigbox:strategy/answer@0.1.0", "quiet")
declare function hostQuiet(untilMs: u64, below: f64, above: f64): void;

const MINUTE_MS: u64 = 60_000;

/** The direction of a trade. */
export enum Position { Long, Short }

/** How much a line of the log matters. */
export enum Level { Trace, Debug, Info, Warn, Error }

/** "Trade this." A number that is NaN, and a text that is null, is the operator's default. */
export class Signal {
  /** Enter only when a candle touches this price; NaN: enter now. */
  limit: f64 = NaN;
  /** Whole minutes until the position is closed as expired. */
  minutes: f64 = NaN;
  /** Amount to invest, quote currency. */
  cost: f64 = NaN;
  multiplier: f64 = NaN;
  /** Whether the price at which everything invested is lost acts as a second stop: 1 yes, 0 no, -1 the default. */
  isolated: i32 = -1;
  /** The strategy's own name for it. The id opened last is not opened again. */
  id: string | null = null;
  /** A remark, kept verbatim in rows and events. */
  note: string | null = null;

  /**
   * takeProfit: closed at this price when the average price reaches it. stopLoss: closed at this price when a candle
   * touches it. Both in the quote currency.
   */
  constructor(public position: Position, public takeProfit: f64, public stopLoss: f64) {}

  /** Closed as expired after so many whole minutes. */
  lasting(minutes: f64): Signal {
    this.minutes = minutes;
    return this;
  }

  /** Entered only when a candle touches this price. */
  at(limit: f64): Signal {
    this.limit = limit;
    return this;
  }
}

/** Buy now; closed at the higher takeProfit or the lower stopLoss. */
export function long(takeProfit: f64, stopLoss: f64): Signal {
  return new Signal(Position.Long, takeProfit, stopLoss);
}

/** Sell now; closed at the lower takeProfit or the higher stopLoss. */
export function short(takeProfit: f64, stopLoss: f64): Signal {
  return new Signal(Position.Short, takeProfit, stopLoss);
}

/** One closed bar: milliseconds since the Unix epoch, prices in the quote currency, volume in the base currency. */
@unmanaged
export class Candle {
  openTimeMs: u64 = 0;
  open: f64 = 0;
  high: f64 = 0;
  low: f64 = 0;
  close: f64 = 0;
  volume: f64 = 0;
}

/** Candles, oldest first. They are valid until the next question. */
export class Candles {
  constructor(private from: usize, readonly length: i32) {}

  @inline
  @operator("[]")
  private at(i: i32): Candle {
    if (<u32>i >= <u32>this.length) outOfRange(i, this.length);
    return changetype<Candle>(this.from + <usize>i * 48);
  }

  /** @internal */
  moveTo(from: usize): void {
    this.from = from;
  }
}

function outOfRange(i: i32, length: i32): void {
  throw new RangeError(`index ${i} in a window of ${length}`);
}

/** Numbers of candles, oldest first. They are valid until the next question. */
export class Numbers {
  constructor(private from: usize, readonly length: i32) {}

  @inline
  @operator("[]")
  private at(i: i32): f64 {
    if (<u32>i >= <u32>this.length) outOfRange(i, this.length);
    return load<f64>(this.from + (<usize>i << 3));
  }

  /** @internal */
  moveTo(from: usize): void {
    this.from = from;
  }
}

/** The greatest of the numbers; minus infinity of none. */
export function highest(numbers: Numbers): f64 {
  let found = -Infinity;
  for (let i = 0; i < numbers.length; i++) found = max(found, numbers[i]);
  return found;
}

/** The least of the numbers; infinity of none. */
export function lowest(numbers: Numbers): f64 {
  let found = Infinity;
  for (let i = 0; i < numbers.length; i++) found = min(found, numbers[i]);
  return found;
}

/** The average, added from the first to the last. */
export function mean(numbers: Numbers): f64 {
  let sum: f64 = 0;
  for (let i = 0; i < numbers.length; i++) sum += numbers[i];
  return sum / <f64>numbers.length;
}

/** A position of this strategy on its symbol that was opened and closed. */
export class Trade {
  id: string = "";
  position: Position = Position.Long;
  openedMs: u64 = 0;
  closedMs: u64 = 0;
  priceOpen: f64 = 0;
  priceClose: f64 = 0;
  /** What was invested, quote currency. */
  cost: f64 = 0;
  pnlPercentage: f64 = 0;
  pnlCost: f64 = 0;
  /** Why it was closed, an open set: "take_profit" "stop_loss" "time_expired" "liquidation" "closed" today. */
  reason: string = "";
}

/** Who trades what. `frame` is the name of the period that is being replayed. */
export class Session {
  symbol: string = "";
  strategy: string = "";
  exchange: string = "";
  frame: string | null = null;
}

// Settings. -----------------------------------------------------------------------------------------------------------

/** What the operator can set. */
export abstract class Setting {
  constructor(readonly name: string, readonly doc: string) {
    settings.push(this);
  }

  /** @internal What it must be, if the JSON is not that. */
  abstract assign(json: string): string | null;

  /** @internal Its type and its default, as JSON Schema says them. */
  abstract schema(): string;
}

export class NumberSetting extends Setting {
  constructor(name: string, public value: f64, doc: string) {
    super(name, doc);
  }
  assign(json: string): string | null {
    const number = parseNumber(json);
    if (!isFinite(number)) return "a number";
    this.value = number;
    return null;
  }
  schema(): string {
    return `"type":"number"` + (isFinite(this.value) ? `,"default":${this.value}` : "");
  }
}

export class WholeSetting extends Setting {
  constructor(name: string, public value: i32, doc: string) {
    super(name, doc);
  }
  assign(json: string): string | null {
    const number = parseNumber(json);
    if (!isFinite(number) || number != Math.floor(number)) return "a whole number";
    if (Math.abs(number) > <f64>i32.MAX_VALUE) return "a whole number of 32 bits";
    this.value = <i32>number;
    return null;
  }
  schema(): string {
    return `"type":"integer","default":${this.value}`;
  }
}

export class FlagSetting extends Setting {
  constructor(name: string, public value: bool, doc: string) {
    super(name, doc);
  }
  assign(json: string): string | null {
    if (json != "true" && json != "false") return "a boolean, true or false";
    this.value = json == "true";
    return null;
  }
  schema(): string {
    return `"type":"boolean","default":${this.value}`;
  }
}

export class WordSetting extends Setting {
  constructor(name: string, public value: string, doc: string) {
    super(name, doc);
  }
  assign(json: string): string | null {
    if (!json.startsWith('"')) return "a text";
    this.value = new Json(json).takeString();
    return null;
  }
  schema(): string {
    return `"type":"string","default":` + quoted(this.value);
  }
}

let settings: Setting[] = [];

/** A setting with a number. Its name is that in the operator's file: "take-profit-percent". Read its `value`. */
export function number(name: string, byDefault: f64, doc: string = ""): NumberSetting {
  return new NumberSetting(name, byDefault, doc);
}

/** A setting with a whole number. */
export function whole(name: string, byDefault: i32, doc: string = ""): WholeSetting {
  return new WholeSetting(name, byDefault, doc);
}

/** A setting that is true or false. */
export function flag(name: string, byDefault: bool, doc: string = ""): FlagSetting {
  return new FlagSetting(name, byDefault, doc);
}

/** A setting with a text. */
export function word(name: string, byDefault: string, doc: string = ""): WordSetting {
  return new WordSetting(name, byDefault, doc);
}

/** JSON that another program wrote. */
class Json {
  at: i32 = 0;

  constructor(private text: string) {}

  take(sign: string): bool {
    while (this.at < this.text.length && this.text.charCodeAt(this.at) <= 32) this.at++;
    if (this.text.charAt(this.at) != sign) return false;
    this.at++;
    return true;
  }

  /** A string, without its quotes and escapes. */
  takeString(): string {
    let found = "";
    if (!this.take('"')) return found;
    while (this.at < this.text.length) {
      const sign = this.text.charAt(this.at++);
      if (sign == '"') break;
      if (sign != "\\") {
        found += sign;
        continue;
      }
      const escaped = this.text.charAt(this.at++);
      if (escaped == "u") {
        found += String.fromCharCode(<i32>parseInt(this.text.substr(this.at, 4), 16));
        this.at += 4;
      } else {
        const known = "bfnrt".indexOf(escaped);
        found += known < 0 ? escaped : "\b\f\n\r\t".charAt(known);
      }
    }
    return found;
  }

  /** A value of any type, as it is written. */
  takeValue(): string {
    const from = this.at;
    let depth = 0;
    while (this.at < this.text.length) {
      const sign = this.text.charAt(this.at);
      if (sign == '"') {
        this.takeString();
        continue;
      }
      if (depth == 0 && (sign == "," || sign == "}" || sign == "]")) break;
      if (sign == "{" || sign == "[") depth++;
      if (sign == "}" || sign == "]") depth--;
      this.at++;
    }
    return this.text.substring(from, this.at).trim();
  }
}

function parseNumber(json: string): f64 {
  const first = json.charCodeAt(0);
  return json.length > 0 && (first == 45 || (first >= 48 && first <= 57)) ? F64.parseFloat(json) : NaN;
}

function quoted(text: string): string {
  let found = '"';
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code < 32) found += "\\u" + code.toString(16).padStart(4, "0");
    else found += (code == 34 || code == 92 ? "\\" : "") + text.charAt(i);
  }
  return found + '"';
}

/** Writes the operator's settings. What is wrong with them; null: nothing. */
function settle(text: string): string | null {
  const json = new Json(text);
  if (!json.take("{")) return "settings are not a JSON object: " + text;
  if (json.take("}")) return null;
  do {
    const name = json.takeString();
    json.take(":");
    const value = json.takeValue(), known: string[] = [];
    let isKnown = false;
    for (let i = 0; i < settings.length && !isKnown; i++) {
      isKnown = settings[i].name == name;
      known.push(settings[i].name);
      const mustBe = isKnown ? settings[i].assign(value) : null;
      if (mustBe !== null) return name + " must be " + mustBe + "; found " + value;
    }
    if (!isKnown) return `there is no setting ${name}; there are: ` + (known.length ? known.join(", ") : "none");
  } while (json.take(","));
  return null;
}

function schema(): string {
  let text = '{"type":"object","additionalProperties":false,"properties":{';
  for (let i = 0; i < settings.length; i++) {
    const setting = settings[i];
    text += (i ? "," : "") + quoted(setting.name) + ":{" + setting.schema();
    if (setting.doc.length) text += ',"description":' + quoted(setting.doc);
    text += "}";
  }
  return text + "}}";
}

// What crosses the boundary. -------------------------------------------------------------------------------------------

/** What the host hands over. */
export function cabi_realloc(old: usize, oldLen: usize, align: usize, len: usize): usize {
  return heap.alloc(max(len, 1));
}

/** What the host handed over, until the question ends. */
const lent: usize[] = [];

function borrow(pointer: usize): usize {
  lent.push(pointer);
  return pointer;
}

// A place for one answer to or from the host. The longest is a signal, with 144 bytes.
const place: usize = heap.alloc(144);

/** The text at `at` of `place`, which is freed. */
function takeText(at: usize): string {
  const text = load<usize>(place + at), found = String.UTF8.decodeUnsafe(text, load<usize>(place + at, 4));
  heap.free(text);
  return found;
}

/** Texts that the host reads, until the question ends. The collector does not see pointers in `place`. */
let read: ArrayBuffer[] = [];

function putText(at: usize, value: string): void {
  const bytes = String.UTF8.encode(value);
  read.push(bytes);
  store<usize>(at, changetype<usize>(bytes));
  store<usize>(at, bytes.byteLength, 4);
}

function putOptionalText(at: usize, value: string | null): void {
  store<bool>(at, value !== null);
  if (value !== null) putText(at + 4, value);
}

function putNumber(at: usize, value: f64): void {
  store<bool>(at, value == value);
  store<f64>(at, value, 8);
}

/** A line for the operator. */
export function log(level: Level, line: string): void {
  const bytes = String.UTF8.encode(line);
  hostLog(level, 0, 0, changetype<usize>(bytes), bytes.byteLength);
}

/** What `console.log` does: exports.mjs names it so. */
export namespace lines {
  export function log(line: string): void {
    hostLine(Level.Info, line);
  }
  export function debug(line: string): void {
    hostLine(Level.Debug, line);
  }
  export function info(line: string): void {
    hostLine(Level.Info, line);
  }
  export function warn(line: string): void {
    hostLine(Level.Warn, line);
  }
  export function error(line: string): void {
    hostLine(Level.Error, line);
  }
}

function hostLine(level: Level, line: string): void {
  log(level, line);
}

/** What happens where an error is thrown: nothing catches it in AssemblyScript. exports.mjs names it `abort`. */
export function aborted(message: string | null, file: string | null, line: u32, column: u32): void {
  const where = file !== null ? ` (${file}:${line}:${column})` : "";
  log(Level.Error, (message !== null ? message : "aborted") + where);
  unreachable();
}

let failureCode: string | null = null, failureMessage = "", givesUp = false;

/** There is no answer this time, and why: `return fail("…")`. The first reason of a question counts. */
export function fail(message: string): Signal | null {
  return failWith("error", message, false);
}

/** As `fail`, and the strategy is not asked any more for the rest of the run. */
export function giveUp(message: string): Signal | null {
  return failWith("error", message, true);
}

function failWith(code: string, message: string, forEver: bool): Signal | null {
  if (failureCode === null) {
    failureCode = code;
    failureMessage = message;
    givesUp = forEver;
  }
  return null;
}

/** Whether the result at `place` has a value. If not, the question fails, unless there are only too few candles. */
function isOk(at: usize): bool {
  if (!load<bool>(place)) return true;
  const code = takeText(at), message = takeText(at + 8);
  if (code != "not-enough-history") failWith(code, message, false);
  return false;
}

// Questions. -----------------------------------------------------------------------------------------------------------

/**
 * One question. Where there are not so many candles, a function here returns null. Where the host refuses for another
 * reason, it does too, and the question fails with that reason.
 */
export class Tick {
  /** The minute boundary that is being decided, milliseconds since the Unix epoch. */
  whenMs: u64 = 0;
  /** Average price of the last closed candles. */
  price: f64 = 0;
  /** The one-minute candle that closed at whenMs. */
  newest: Candle = changetype<Candle>(heap.alloc(48));
  /** Who trades what. */
  session: Session = new Session();

  private isQuiet: bool = false;
  private untilMs: u64 = 0;
  private below: f64 = 0;
  private above: f64 = 0;

  /** The last `count` closed candles of its own symbol, oldest first; null while the market is younger than that. */
  last(count: i32): Candles | null {
    if (!reach(count)) return null;
    for (let i = 0; i < candleViews.length; i++) {
      const view = unchecked(candleViews[i]);
      if (view.length == count) {
        view.moveTo(kept + <usize>(len - count) * 48);
        return view;
      }
    }
    candleViews.push(new Candles(kept + <usize>(len - count) * 48, count));
    return candleViews[candleViews.length - 1];
  }

  /** The last `count` opening prices, as `last`. */
  opens(count: i32): Numbers | null {
    return columns[0].last(count);
  }
  highs(count: i32): Numbers | null {
    return columns[1].last(count);
  }
  lows(count: i32): Numbers | null {
    return columns[2].last(count);
  }
  closes(count: i32): Numbers | null {
    return columns[3].last(count);
  }
  volumes(count: i32): Numbers | null {
    return columns[4].last(count);
  }

  /**
   * Exactly `limit` closed candles of any symbol and interval, oldest first: "1m" "3m" "5m" "15m" "30m" "1h" "2h" "4h"
   * "6h" "8h" "12h" "1d".
   */
  marketCandles(symbol: string, interval: string, limit: i32): Candles | null {
    const a = String.UTF8.encode(symbol), b = String.UTF8.encode(interval);
    hostCandles(changetype<usize>(a), a.byteLength, changetype<usize>(b), b.byteLength, limit, place);
    return isOk(4) ? new Candles(borrow(load<usize>(place, 4)), load<i32>(place, 8)) : null;
  }

  /** Closed candles of any symbol and interval that opened later than `afterMs`, oldest first, at most `limit`. */
  candlesAfter(symbol: string, interval: string, afterMs: u64, limit: i32): Candles | null {
    const a = String.UTF8.encode(symbol), b = String.UTF8.encode(interval);
    hostCandlesAfter(changetype<usize>(a), a.byteLength, changetype<usize>(b), b.byteLength, afterMs, limit, place);
    return isOk(4) ? new Candles(borrow(load<usize>(place, 4)), load<i32>(place, 8)) : null;
  }

  /**
   * Numbers of the last `limit` closed candles of any symbol and interval, oldest first. The field is "open-time-ms"
   * "open" "high" "low" "close" or "volume".
   */
  marketColumn(symbol: string, interval: string, field: string, limit: i32): Numbers | null {
    const a = String.UTF8.encode(symbol), b = String.UTF8.encode(interval);
    putText(place + 24, field);
    hostColumns(
      changetype<usize>(a), a.byteLength, changetype<usize>(b), b.byteLength, place + 24, 1, limit, place,
    );
    return isOk(4) ? new Numbers(borrow(load<usize>(place, 4)), load<i32>(place, 8)) : null;
  }

  /** Volume-weighted average price of the last closed one-minute candles of any symbol; NaN where others have null. */
  averagePrice(symbol: string): f64 {
    const a = String.UTF8.encode(symbol);
    hostAveragePrice(changetype<usize>(a), a.byteLength, place);
    return isOk(8) ? load<f64>(place, 8) : NaN;
  }

  /**
   * Promises that there is nothing to say before `untilMs`, as long as the price, the low and the high of closed candles
   * stay between `below` and `above`. It counts if the strategy then returns null. It is not asked meanwhile. A number that
   * is not finite is no bound. A promise that was wrong misses a trade; `sigbox backtest --check-promises` names such ones.
   */
  quiet(untilMs: u64, below: f64, above: f64): void {
    this.isQuiet = true;
    this.untilMs = untilMs;
    this.below = below;
    this.above = above;
  }

  /** At most `n` of its own last trades, oldest first. The host keeps the last 32, also across a restart. */
  trades(n: i32): Trade[] {
    hostTrades(n, place);
    const list = load<usize>(place), count = load<usize>(place, 4), found: Trade[] = [];
    for (let at = list; at < list + count * 96; at += 96) {
      const trade = new Trade();
      trade.id = String.UTF8.decodeUnsafe(load<usize>(at), load<usize>(at, 4));
      trade.position = load<u8>(at, 8);
      trade.openedMs = load<u64>(at, 16);
      trade.closedMs = load<u64>(at, 24);
      trade.priceOpen = load<f64>(at, 32);
      trade.priceClose = load<f64>(at, 40);
      trade.cost = load<f64>(at, 48);
      trade.pnlPercentage = load<f64>(at, 56);
      trade.pnlCost = load<f64>(at, 64);
      trade.reason = String.UTF8.decodeUnsafe(load<usize>(at, 72), load<usize>(at, 76));
      heap.free(load<usize>(at));
      heap.free(load<usize>(at, 72));
      if (load<bool>(at, 80)) heap.free(load<usize>(at, 84));
      found.push(trade);
    }
    heap.free(list);
    return found;
  }

  /** What was kept under a name; null: nothing. It outlives the instance, a crash and a restart. */
  remembered(name: string): string | null {
    const a = String.UTF8.encode(name);
    hostGet(changetype<usize>(a), a.byteLength, place);
    return load<bool>(place) ? takeText(4) : null;
  }

  /**
   * Keeps a text under a name, in place of what was there. All names and values together have 16 KiB; where they have more,
   * the result is false, and the question fails.
   */
  remember(name: string, value: string): bool {
    const a = String.UTF8.encode(name), b = String.UTF8.encode(value);
    hostSet(changetype<usize>(a), a.byteLength, changetype<usize>(b), b.byteLength, place);
    return isOk(4);
  }

  /** Removes what is kept under a name. */
  forget(name: string): void {
    const a = String.UTF8.encode(name);
    hostRemove(changetype<usize>(a), a.byteLength);
  }

  /** @internal */
  begin(whenMs: u64, price: f64): void {
    this.whenMs = whenMs;
    this.price = price;
    this.isQuiet = false;
  }

  /** @internal */
  end(): void {
    if (this.isQuiet) hostQuiet(this.untilMs, this.below, this.above);
  }
}

// The symbol's own candles: contiguous, oldest first. The oldest are dropped in bulk, so that the rest stays one array.
// `dropped`: how often. A column that was made before begins with other candles.
let kept: usize = 0, len: i32 = 0, room: i32 = 0, dropped: u64 = 0;
// The longest window that was asked for, and whether a window was returned to the question being answered.
let longest: i32 = 0, hasLent: bool = false;
let candleViews: Candles[] = [];

/** One number of each candle that is kept, as far as it was asked for. */
class Column {
  private numbers: usize = 0;
  private len: i32 = 0;
  private room: i32 = 0;
  private dropped: u64 = 0;
  // A view for each length that was asked for, so that two windows do not move each other.
  private views: Numbers[] = [];

  constructor(private field: usize) {}

  /** What was returned stays as it is until the question ends. */
  lend(): void {
    if (this.numbers) lent.push(this.numbers);
    this.numbers = 0;
    this.len = 0;
    this.room = 0;
    this.views = [];
  }

  last(count: i32): Numbers | null {
    if (!reach(count)) return null;
    if (this.dropped != dropped) {
      this.dropped = dropped;
      this.len = 0;
    }
    if (this.room < len) {
      this.room = 2 * len;
      this.numbers = this.numbers ? heap.realloc(this.numbers, <usize>this.room << 3) : heap.alloc(<usize>this.room << 3);
    }
    for (let i = this.len; i < len; i++) {
      store<f64>(this.numbers + (<usize>i << 3), load<f64>(kept + <usize>i * 48 + this.field));
    }
    this.len = len;
    const from = this.numbers + (<usize>(len - count) << 3), views = this.views;
    for (let i = 0; i < views.length; i++) {
      const view = unchecked(views[i]);
      if (view.length == count) {
        view.moveTo(from);
        return view;
      }
    }
    views.push(new Numbers(from, count));
    return views[views.length - 1];
  }
}

const columns: Column[] = [new Column(8), new Column(16), new Column(24), new Column(32), new Column(40)];

/** Makes the window reach up to the question, with at least `count` candles. False: there are not so many. */
function reach(count: i32): bool {
  if (count < 1) {
    failWith("window", "a window must have at least one candle", true);
    return false;
  }
  if (count > longest) longest = count;
  const reached = catchUp(count) || refill(count);
  if (reached) hasLent = true;
  return reached;
}

function reserve(count: i32): void {
  if (count <= room) return;
  room = 2 * count;
  kept = kept ? heap.realloc(kept, <usize>room * 48) : heap.alloc(<usize>room * 48);
}

/**
 * Adds the candles that closed since the last question. False when the window has to be fetched anew: it is too short, or
 * more is missing than it holds.
 */
function catchUp(count: i32): bool {
  if (len == 0) return false;
  const newestMs = load<u64>(kept + <usize>(len - 1) * 48), next = newestMs + MINUTE_MS;
  const missing: u64 = tick.whenMs > next ? (tick.whenMs - next) / MINUTE_MS : 0;
  if (missing > <u64>longest) return false;
  if (missing > 0 && len >= 4 * max(longest, 64)) {
    memory.copy(kept, kept + <usize>(len - longest) * 48, <usize>longest * 48);
    len = longest;
    dropped++;
  }
  const before = len;
  if (missing == 1) {
    reserve(len + 1);
    memory.copy(kept + <usize>len * 48, changetype<usize>(tick.newest), 48);
    len++;
  } else if (missing > 1) {
    extend(newestMs, <u32>missing);
  }
  return <u64>(len - before) == missing && len >= count;
}

/** Adds the minutes that follow the one opened at `afterMs`, at most `limit` of them. */
function extend(afterMs: u64, limit: u32): void {
  hostNextCandles(afterMs, limit, place);
  const numbers = load<usize>(place), count = load<i32>(place, 4) / 5;
  reserve(len + count);
  for (let i = 0; i < count; i++) {
    const to = kept + <usize>len * 48;
    afterMs += MINUTE_MS;
    store<u64>(to, afterMs);
    memory.copy(to + 8, numbers + <usize>i * 40, 40);
    len++;
  }
  heap.free(numbers);
}

/** Fetches the whole window. */
function refill(count: i32): bool {
  if (hasLent) {
    lent.push(kept);
    kept = 0;
    room = 0;
    candleViews = [];
    for (let i = 0; i < columns.length; i++) columns[i].lend();
  }
  len = 0;
  dropped++;
  const span = (<u64>count + 1) * MINUTE_MS;
  if (tick.whenMs >= span) extend(tick.whenMs - span, count);
  if (len == count) return true;
  // As records they cost more, but then the host says why there are not so many.
  len = 0;
  const candles = tick.marketCandles(tick.session.symbol, "1m", count);
  if (candles === null) return false;
  reserve(count);
  for (; len < candles.length; len++) memory.copy(kept + <usize>len * 48, changetype<usize>(candles[len]), 48);
  return true;
}

// What the host calls. -------------------------------------------------------------------------------------------------

const tick = new Tick();
let about: string[] = ["unknown", "0", "1m"];
let author: ((tick: Tick) => Signal | null) | null = null;
let check: (() => string | null) | null = null;

/**
 * Makes a function the component's strategy. `interval`: how often it wants to be asked unless the operator says otherwise,
 * "1m" "3m" "5m" "15m" "30m" "1h". `signal` says whether to trade now; null for no. What must not be forgotten has to follow
 * from the candles or be remembered: after a restart a fresh instance answers. `start`, if there is one, says why the
 * strategy cannot trade with its settings; null: it can.
 */
export function strategy(
  name: string, version: string, interval: string, signal: (tick: Tick) => Signal | null,
  start: (() => string | null) | null = null,
): void {
  about = [name, version, interval];
  author = signal;
  check = start;
}

export function describe(): usize {
  memory.fill(place, 0, 56);
  for (let i = 0; i < 3; i++) putText(place + <usize>i * 8, about[i]);
  putOptionalText(place + 24, schema());
  return place;
}

export function start(): usize {
  read = [];
  hostSymbol(place);
  tick.session.symbol = takeText(0);
  hostStrategy(place);
  tick.session.strategy = takeText(0);
  hostExchange(place);
  tick.session.exchange = takeText(0);
  hostFrame(place);
  if (load<bool>(place)) tick.session.frame = takeText(4);
  hostSettings(place);
  let why = author === null ? "the program has no strategy: call strategy(…)" : settle(takeText(0));
  if (why === null) {
    const checked = check;
    if (checked !== null) why = checked();
  }
  memory.fill(place, 0, 36);
  if (why !== null) {
    store<u8>(place, 1);
    putText(place + 4, "settings");
    putText(place + 12, why);
  }
  return place;
}

let questions: u32 = 0;

export function getSignal(whenMs: u64, price: f64, open: f64, high: f64, low: f64, close: f64, volume: f64): void {
  const newest = tick.newest;
  newest.openTimeMs = whenMs - MINUTE_MS;
  newest.open = open;
  newest.high = high;
  newest.low = low;
  newest.close = close;
  newest.volume = volume;
  failureCode = null;
  hasLent = false;
  tick.begin(whenMs, price);
  const signal = author!(tick), code = failureCode;
  if (code !== null) {
    const a = String.UTF8.encode(code), b = String.UTF8.encode(failureMessage);
    hostFail(changetype<usize>(a), a.byteLength, changetype<usize>(b), b.byteLength, !givesUp);
  } else if (signal !== null) {
    trade(signal);
  } else {
    tick.end();
  }
  while (lent.length > 0) heap.free(lent.pop());
  // Nothing is on the stack here that the collector must see.
  if ((++questions & 1023) == 0) {
    read = [];
    __collect();
  }
}

function trade(signal: Signal): void {
  memory.fill(place, 0, 144);
  putOptionalText(place, signal.id);
  store<u8>(place, signal.position == Position.Short ? 1 : 0, 24);
  putNumber(place + 32, signal.limit);
  store<f64>(place, signal.takeProfit, 48);
  store<f64>(place, signal.stopLoss, 56);
  putNumber(place + 64, signal.minutes);
  putNumber(place + 80, signal.cost);
  putNumber(place + 96, signal.multiplier);
  store<bool>(place, signal.isolated >= 0, 112);
  store<bool>(place, signal.isolated > 0, 113);
  putOptionalText(place + 116, signal.note);
  hostTrade(place);
}
