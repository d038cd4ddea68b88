/** What an author defines, and the one who asks it. */
import { Candles } from "./candles.js";
import { Settings } from "./settings.js";
import { decode, encode } from "./utf8.js";

const MINUTE_MS = 60_000;
const INTERVALS = ["1m", "3m", "5m", "15m", "30m", "1h"];

/** No answer, now or ever. */
export class Refuse extends Error {
  constructor(message, code = "settings") {
    super(message);
    this.name = "Refuse";
    this.code = code;
  }
}

/** No answer this time. */
export class Retry extends Error {
  constructor(message, code = "other") {
    super(message);
    this.name = "Retry";
    this.code = code;
  }
}

// ---- Answers.

const LEVELS = {
  takeProfit: "number", stopLoss: "number", limit: "number", minutes: "number", cost: "number", leverage: "number",
  isolated: "boolean", note: "string", id: "string", symbol: "string",
};

class Signal {
  constructor(position, maker, levels) {
    if (typeof levels !== "object" || levels === null) throw new TypeError(`${maker}() takes an object; found ${show(levels)}`);
    this.position = position;
    for (const [name, value] of Object.entries(levels)) {
      if (!(name in LEVELS)) throw new TypeError(`${maker}() has no ${name}; it has ${Object.keys(LEVELS).join(", ")}`);
      if (value === null || value === undefined) continue;
      if (typeof value !== LEVELS[name]) throw new TypeError(`${maker}(): ${name} must be a ${LEVELS[name]}; found ${show(value)}`);
      this[name] = value;
    }
    for (const name of ["takeProfit", "stopLoss"])
      if (this[name] === undefined) throw new TypeError(`${maker}() needs ${name}`);
  }
}

class Quiet {
  constructor({ minutes, below = -Infinity, above = Infinity }) {
    for (const [name, value] of Object.entries({ minutes, below, above }))
      if (typeof value !== "number" || Number.isNaN(value)) throw new TypeError(`quiet(): ${name} must be a number; found ${show(value)}`);
    if (!(minutes >= 0) || minutes === Infinity) throw new TypeError(`quiet(): minutes must be finite and not negative; found ${minutes}`);
    this.minutes = minutes;
    this.below = below;
    this.above = above;
  }
}

export const long = (levels) => new Signal("long", "long", levels);
export const short = (levels) => new Signal("short", "short", levels);
export function quiet(promise) {
  if (typeof promise !== "object" || promise === null) throw new TypeError(`quiet() takes an object; found ${show(promise)}`);
  return new Quiet(promise);
}

// ---- Definitions.

/** What `strategy()` returns. */
export class Strategy {
  constructor(definition) {
    const known = ["name", "version", "interval", "settings", "start", "signal"];
    for (const name of Object.keys(definition))
      if (!known.includes(name)) throw new TypeError(`a strategy has no ${name}; it has ${known.join(", ")}`);
    const { name, version = "0.1.0", interval = "1m", settings = {}, start, signal } = definition;
    for (const [key, value] of Object.entries({ name, version }))
      if (typeof value !== "string" || value === "") throw new TypeError(`the ${key} of a strategy must be a text; found ${show(value)}`);
    if (!INTERVALS.includes(interval)) throw new TypeError(`the interval of ${name} must be one of ${INTERVALS.join(", ")}; found ${show(interval)}`);
    if (typeof signal !== "function") throw new TypeError(`${name} needs a function signal; found ${show(signal)}`);
    if (start !== undefined && typeof start !== "function") throw new TypeError(`start of ${name} must be a function; found ${show(start)}`);
    if (typeof settings !== "object" || settings === null) throw new TypeError(`the settings of ${name} must be an object; found ${show(settings)}`);
    this.name = name;
    this.version = version;
    this.interval = interval;
    this.settings = new Settings(settings);
    // Its functions are called as methods of it, so an author may use `this`.
    this.author = definition;
    Object.freeze(this);
  }
}

export function strategy(definition) {
  if (typeof definition !== "object" || definition === null) throw new TypeError(`strategy() takes an object; found ${show(definition)}`);
  return new Strategy(definition);
}

// ---- Questions.

/** What a strategy remembers, as JSON. */
class Memory {
  #host;
  constructor(host) {
    this.#host = host;
  }
  get(name) {
    const bytes = this.#host.remembered(name);
    if (bytes === null) return undefined;
    try {
      return JSON.parse(decode(bytes, true));
    } catch {
      throw new Retry(`what is kept under ${JSON.stringify(name)} is no JSON`, "memory");
    }
  }
  set(name, value) {
    const text = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`memory.set(): ${show(value)} cannot be kept, because JSON has no word for it`);
    this.#host.remember(name, encode(text));
  }
  remove(name) {
    this.#host.forget(name);
  }
}

/** One object for all questions, because a new one for each would cost more than a short answer. */
class Tick {
  whenMs = 0;
  price = 0;
  open = 0;
  high = 0;
  low = 0;
  close = 0;
  volume = 0;
  constructor(host, symbol) {
    this.candles = new Candles(host, symbol, this);
    this.memory = new Memory(host);
    this.trades = (count) => host.trades(count);
    this.averagePrice = (of = symbol) => host.averagePrice(of);
  }
}

/**
 * Starts a strategy on one symbol, and returns what asks it: a function of the numbers of a question. It returns a Signal, a
 * Quiet or null. `host` is the sandbox, or the market of a test.
 *
 * Throws a Refuse for settings that cannot be traded with.
 */
export function started(definition, host, session, given) {
  let settings;
  try {
    settings = Object.freeze(definition.settings.settle(given));
  } catch (error) {
    throw new Refuse(error.message);
  }
  Object.freeze(session);
  refusePromise("start", definition.author.start?.(settings, session));
  const tick = new Tick(host, session.symbol), { author } = definition;
  return (whenMs, price, open, high, low, close, volume) => {
    tick.whenMs = whenMs;
    tick.price = price;
    tick.open = open;
    tick.high = high;
    tick.low = low;
    tick.close = close;
    tick.volume = volume;
    const said = author.signal(tick, settings, session);
    if (said === undefined || said === null) return null;
    if (said instanceof Signal || said instanceof Quiet) return said;
    refusePromise("signal", said);
    throw new TypeError(`signal() must return long({…}), short({…}), quiet({…}) or nothing; found ${show(said)}`);
  };
}

export const isQuiet = (said) => said instanceof Quiet;

/** When a promise that was made at `whenMs` ends. */
export const untilMs = (whenMs, promise) => whenMs + Math.floor(promise.minutes) * MINUTE_MS;

function refusePromise(name, value) {
  if (typeof value?.then === "function") throw new TypeError(`${name}() must answer at once; it returned a promise`);
}

function show(value) {
  if (typeof value === "function") return "a function";
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}
