// What a strategy imports of wit/0.1, as componentize-qjs shows it: a u64 is a number, an option is null or the value,
// and the error of a result is thrown as the `payload` of an Error.

declare module "sigbox:strategy/answer@0.1.0" {
  export interface Signal {
    id: string | null;
    symbol: string | null;
    position: "long" | "short";
    priceOpen: number | null;
    priceTakeProfit: number;
    priceStopLoss: number;
    minuteEstimatedTime: number | null;
    cost: number | null;
    multiplier: number | null;
    isolated: boolean | null;
    note: string | null;
    extra: string | null;
  }
  export function trade(signal: Signal): void;
  export function fail(code: string, message: string, retryable: boolean): void;
  export function quiet(untilMs: number, below: number, above: number): void;
}

declare module "sigbox:host/market@0.1.0" {
  export type Field = "open-time-ms" | "open" | "high" | "low" | "close" | "volume";
  export function columns(symbol: string, interval: string, fields: Field[], limit: number): number[];
  export function nextCandles(afterMs: number, limit: number): number[];
}

declare module "sigbox:host/session@0.1.0" {
  export function symbol(): string;
  export function strategy(): string;
  export function exchange(): string;
  export function frame(): string | null;
  export function settings(): string;
}

interface Descriptor {
  name: string;
  version: string;
  interval: "1m" | "3m" | "5m" | "15m" | "30m" | "1h";
  settingsSchema: string | null;
  features: string[];
  extra: string | null;
}

/** What `start` throws. */
interface Failure {
  code: string;
  message: string;
  retryable: boolean;
  extra: string | null;
}

/** What a component exports as `strategy`. */
interface Strategy {
  describe(): Descriptor;
  start(): void;
  getSignal(
    whenMs: number, price: number, open: number, high: number, low: number, close: number, volume: number,
  ): void;
}
