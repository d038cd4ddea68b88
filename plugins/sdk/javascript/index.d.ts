/** Trading strategies for sigbox. */

/** How often a strategy is asked. */
export type Interval = "1m" | "3m" | "5m" | "15m" | "30m" | "1h";
/** The length of a candle. */
export type CandleInterval = Interval | "2h" | "4h" | "6h" | "8h" | "12h" | "1d";

/** What the operator may set. The type of each setting is that of its default. */
export type Settings = Record<string, number | string | boolean>;

/** What an author gets of settings: of each the type of its default, and not its value. */
export type Settled<S extends Settings> = {
  readonly [Name in keyof S]: S[Name] extends boolean ? boolean : S[Name] extends number ? number : string;
};

export interface Definition<S extends Settings> {
  /** Its name, for people. */
  name: string;
  /** "0.1.0" unless it is given. */
  version?: string;
  /** How often it wants to be asked, unless the operator says otherwise. "1m" unless it is given. */
  interval?: Interval;
  /**
   * Settings with their defaults. `takeProfitPercent` is `take-profit-percent` in the operator's file. A setting that is
   * not here, or of another type than its default, is refused by name. `whole(20)` is a default that only a whole number
   * may replace.
   */
  settings?: S;
  /** Called once, before the first question. Throw a `Refuse` for settings that cannot be traded with. */
  start?(settings: Settled<S>, session: Session): void;
  /**
   * Whether to trade now: called once per due interval while the symbol is flat. Return `long({…})`, `short({…})`,
   * `quiet({…})` or nothing. What must not be forgotten has to follow from the candles, or be kept in `tick.memory`: a
   * fresh instance takes the place of one that broke down.
   *
   * An exception is told to the operator with its place, and the strategy is asked again at the next due time.
   */
  signal(tick: Tick, settings: Settled<S>, session: Session): Signal | Quiet | null | undefined | void;
}

/** A strategy. Export it as the default of its module. */
export declare class Strategy<S extends Settings = Settings> {
  private constructor();
  readonly name: string;
  readonly version: string;
  readonly interval: Interval;
  /** What `strategy()` got. */
  readonly author: Definition<S>;
}

/** Defines a strategy. Throws a `TypeError` for what cannot be one. */
export declare function strategy<S extends Settings = {}>(definition: Definition<S>): Strategy<S>;

/** The default of a setting that only a whole number may replace. */
export declare function whole(value: number): number;

/** One question. The same object is used for the next one, so keep its values and not the object. */
export interface Tick {
  /** The minute boundary that is being decided, milliseconds since the Unix epoch. */
  readonly whenMs: number;
  /** Average price of the last closed candles, quote currency. */
  readonly price: number;
  /** The one-minute candle that closed at `whenMs`. */
  readonly open: number;
  readonly high: number;
  readonly low: number;
  readonly close: number;
  /** In the base currency. */
  readonly volume: number;
  readonly candles: Candles;
  /** What the strategy remembers across instances and restarts. A backtest begins with nothing. */
  readonly memory: Memory;
  /** At most the last `count` trades of this strategy on this symbol, oldest first. The host keeps the last 32. */
  trades(count: number): Trade[];
  /** The average price of another symbol. Throws a `Retry` if there is none. */
  averagePrice(symbol?: string): number;
}

/**
 * Candles that have closed. Without an interval and a symbol they are the symbol's own minutes, which cost only what is new in
 * them. Others are fetched when one has closed since they were asked for.
 *
 * Each function returns exactly `count` numbers, oldest first, in an array of its own; null while the market is younger than
 * that. It throws a `Retry` when there is no such symbol or interval, or `count` is more than the host gives in one call.
 */
export declare class Candles {
  private constructor();
  opens(count: number, interval?: CandleInterval, symbol?: string): number[] | null;
  highs(count: number, interval?: CandleInterval, symbol?: string): number[] | null;
  lows(count: number, interval?: CandleInterval, symbol?: string): number[] | null;
  closes(count: number, interval?: CandleInterval, symbol?: string): number[] | null;
  volumes(count: number, interval?: CandleInterval, symbol?: string): number[] | null;
  /** Whole candles. They cost several times as much as a column. */
  last(count: number, interval?: CandleInterval, symbol?: string): Candle[] | null;
}

export interface Candle {
  /** Milliseconds since the Unix epoch. */
  openTimeMs: number;
  open: number;
  high: number;
  low: number;
  close: number;
  /** In the base currency. */
  volume: number;
}

/** Values that JSON can write, by name. All names and values together may have 16 KiB. */
export interface Memory {
  /** Undefined: nothing is kept under that name. */
  get<T = unknown>(name: string): T | undefined;
  /** Throws a `Retry` if it does not fit. */
  set(name: string, value: unknown): void;
  remove(name: string): void;
}

/** A position that was opened and closed. */
export interface Trade {
  id: string;
  position: "long" | "short";
  openedMs: number;
  closedMs: number;
  priceOpen: number;
  priceClose: number;
  /** What was invested, quote currency. */
  cost: number;
  /** The result in percent of what was invested, after slippage and fees, times the leverage. */
  pnlPercentage: number;
  /** The result in the quote currency. */
  pnlCost: number;
  /** "take_profit" "stop_loss" "time_expired" "liquidation" "closed" today; there may be more. */
  reason: string;
}

/** Who is trading what. */
export interface Session {
  readonly symbol: string;
  /** The name of the strategy in the configuration. */
  readonly strategy: string;
  readonly exchange: string;
  /** The name of the period that is being replayed; null: there is none, or it has no name. */
  readonly frame: string | null;
}

/** What a trade is to be. Prices are in the quote currency. */
export interface Levels {
  /** Closed when the average price reaches it. */
  takeProfit: number;
  /** Closed when a candle touches it. */
  stopLoss: number;
  /** Enter only when a candle touches this price. Without it: now, at the average price. */
  limit?: number | null;
  /** Whole minutes until it is closed as expired. Without it: the configured maximum. */
  minutes?: number | null;
  /** Amount to invest, quote currency. */
  cost?: number | null;
  leverage?: number | null;
  /** Whether the price at which everything invested is lost acts as a second stop. */
  isolated?: boolean | null;
  /** A remark, kept verbatim in rows and events. */
  note?: string | null;
  /** Your own name for the trade. The id opened last is not opened again. */
  id?: string | null;
  /** When given, must be the session's symbol. */
  symbol?: string | null;
}
export interface Signal extends Readonly<Levels> {
  readonly position: "long" | "short";
}
/** Buy. Throws a `TypeError` for levels that are missing, misspelt or of the wrong type. */
export declare function long(levels: Levels): Signal;
/** Sell. As `long`. */
export declare function short(levels: Levels): Signal;

export interface Quiet {
  readonly minutes: number;
  readonly below: number;
  readonly above: number;
}
/**
 * No trade now, and none in the next `minutes`, as long as price, low and high of the closed candles are not less than `below`
 * and not greater than `above`. The strategy need not be asked before. A promise that was wrong misses a trade:
 * `sigbox backtest --check-promises` names such promises.
 */
export declare function quiet(promise: { minutes: number; below?: number; above?: number }): Quiet;

/** Throw it when there is no answer, now or ever. The strategy is not asked again in this run. */
export declare class Refuse extends Error {
  /** `code`: a word for programs; "settings" unless it is given. */
  constructor(message: string, code?: string);
  code: string;
}
/** Throw it when there is no answer this time. */
export declare class Retry extends Error {
  /** `code`: a word for programs; "other" unless it is given. */
  constructor(message: string, code?: string);
  code: string;
}
