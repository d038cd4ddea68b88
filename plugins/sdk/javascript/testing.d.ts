/** Tests of strategies under Node: no sandbox and no build. */
import type { Candle, Interval, Quiet, Session, Signal, Strategy, Trade } from "./index.js";

/** One-minute candles from `startMs`, 0 unless it is given. Without a volume it is 1. */
export declare function candles(
  rows: { open: number; high: number; low: number; close: number; volume?: number }[],
  options?: { startMs?: number },
): Candle[];

/** One-minute candles that stay at one price each. */
export declare function closes(prices: number[], options?: { startMs?: number }): Candle[];

/** The candles of the traded symbol, or of several, the traded one first. */
export type Series = Candle[] | Record<string, Candle[]>;

export interface Options {
  /** As in the operator's file: `{ "take-profit-percent": 2 }`. */
  settings?: Record<string, unknown>;
  session?: Partial<Session>;
  /** What `tick.trades` knows, oldest first. */
  trades?: Trade[];
  /** What `tick.memory` has at the beginning. */
  memory?: Record<string, unknown>;
  /** How often `play` asks; the strategy's own interval unless it is given. */
  interval?: Interval;
}

/** Starts the strategy and asks it once, after the last candle. Throws what the strategy throws. */
export declare function ask(strategy: Strategy<any>, series: Series, options?: Options): Signal | Quiet | null;

/** Starts the strategy and asks it at every due minute, from the fifth candle on, as if no trade was ever opened. */
export declare function play(
  strategy: Strategy<any>,
  series: Series,
  options?: Options,
): { whenMs: number; price: number; answer: Signal | Quiet | null; memory: Record<string, unknown> }[];

/** Whether an answer is a promise of silence. */
export declare function isQuiet(answer: Signal | Quiet | null): answer is Quiet;
