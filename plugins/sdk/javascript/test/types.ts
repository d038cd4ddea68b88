// Not run: `tsc` checks that the types say what they should. A line under @ts-expect-error must be wrong.
import { type Signal, Refuse, long, quiet, short, strategy, whole } from "sigbox";
import { Unavailable, backend, page } from "sigbox/persistence";
import { ask, candles, closes, isQuiet, play } from "sigbox/testing";

const dip = strategy({
  name: "dip",
  interval: "5m",
  settings: { percent: 1.0, slow: whole(60), side: "long", bold: true },
  start({ percent, side, bold }, session) {
    const numbers: [number, string, boolean, string] = [percent, side, bold, session.symbol];
    // @ts-expect-error: a number
    const text: string = percent;
    // @ts-expect-error: there is no such setting
    start.prototype = ({ pecrent }) => [numbers, text, pecrent];
    if (percent === 2 || side === "short" || bold === false) throw new Refuse("no");
  },
  signal({ price, candles, memory, trades }, { percent, slow }) {
    const highs: number[] | null = candles.highs(slow);
    // @ts-expect-error: it may be null
    const most = Math.max(...highs);
    // @ts-expect-error: no such interval
    candles.closes(1, "7m");
    const seen = memory.get<number>("seen") ?? 0;
    memory.set("seen", seen + (trades(1)[0]?.pnlCost ?? most));
    if (price < percent) return short({ takeProfit: 1, stopLoss: 2, minutes: null });
    if (price > percent) return quiet({ minutes: 5, below: 1 });
    return long({ takeProfit: 1, stopLoss: 2 });
  },
});
declare function start(): void;

// @ts-expect-error: a strategy answers at once
strategy({ name: "x", async signal() {} });
// @ts-expect-error: a take-profit is missing
long({ stopLoss: 1 });
// @ts-expect-error: a setting has one of three types
strategy({ name: "x", settings: { a: null }, signal() {} });
strategy({ name: "x", signal() {} });
strategy({ name: "x", signal: ({ price }) => (price > 1 ? long({ takeProfit: 1, stopLoss: 2 }) : null) });

const answer = ask(dip, closes([1, 2]), { settings: { percent: 2 } });
if (answer && !isQuiet(answer)) ((signal: Signal) => signal.takeProfit)(answer);
play(dip, { BTCUSDT: candles([{ open: 1, high: 1, low: 1, close: 1 }]) }).map(({ whenMs, memory }) => [whenMs, memory["seen"]]);

export default backend({
  name: "b",
  summary: ({ url }) => `at ${url}`,
  settings: { url: "x" },
  start({ url }, { secret }) {
    const text: string = url, password: string | null = secret("password");
    if (text === password) throw new Unavailable("no", { afterMs: 5 });
  },
  readValue: ({ entityId }) => (entityId === "" ? null : new Uint8Array()),
  writeValue(_at, value) {
    value.subarray(1);
  },
  removeValue: () => false,
  keys: (_domain, _entityName, cursor, limit) => page(["a"], cursor, limit),
});
