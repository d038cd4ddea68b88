import assert from "node:assert/strict";
import test from "node:test";
import { Refuse, Retry, long, quiet, short, strategy, whole } from "sigbox";
import { ask, candles, closes, isQuiet, play } from "sigbox/testing";

const of = (signal, rest = {}) => strategy({ name: "s", signal, ...rest });
/** What a strategy sees of its last question. */
const seen = (look, series, options) => {
  let found;
  ask(of((tick, settings, session) => void (found = look(tick, settings, session))), series, options);
  return found;
};
const rising = (count) => closes(Array.from({ length: count }, (_, i) => i + 1));

test("a strategy trades on what it sees", () => {
  const dip = strategy({
    name: "dip", interval: "5m", settings: { percent: 1.0 },
    signal({ price, candles }, { percent }) {
      const highs = candles.highs(60);
      if (highs && price < Math.max(...highs) * (1 - percent / 100))
        return long({ takeProfit: price * 1.02, stopLoss: price * 0.99, minutes: 240 });
    },
  });
  const falling = closes([...Array(60).fill(100), 97, 97, 97, 97, 97]);
  assert.deepEqual(ask(dip, falling), long({ takeProfit: 97 * 1.02, stopLoss: 97 * 0.99, minutes: 240 }));
  assert.equal(ask(dip, falling, { settings: { percent: 5 } }), null);
  assert.equal(ask(dip, closes([100, 90])), null, "the market is too young");
});

test("settings come from defaults, and what is wrong is refused by name", () => {
  const settings = { fast: whole(20), takeProfitPercent: 1.0, mode: "up", isBold: false };
  const settle = (given) => {
    let settled;
    ask(of(() => null, { settings, start: (found) => void (settled = found) }), rising(5), { settings: given });
    return settled;
  };
  assert.deepEqual({ ...settle({}) }, { fast: 20, takeProfitPercent: 1, mode: "up", isBold: false });
  assert.equal(settle({ "take-profit-percent": 0.5 }).takeProfitPercent, 0.5);
  for (const [given, words] of [
    [{ fsat: 20 }, "there is no setting fsat; there are: fast, take-profit-percent, mode, is-bold"],
    [{ takeProfitPercent: 1 }, "there is no setting takeProfitPercent"],
    [{ fast: "x" }, 'fast must be a whole number; found "x"'],
    [{ fast: 60.5 }, "fast must be a whole number; found 60.5"],
    [{ "take-profit-percent": true }, "take-profit-percent must be a number; found true"],
    [{ mode: null }, "mode must be a text; found null"],
    [{ "is-bold": 1 }, "is-bold must be true or false; found 1"],
  ])
    assert.throws(() => settle(given), (error) => error instanceof Refuse && error.message.includes(words), words);
  assert.deepEqual(JSON.parse(of(() => null, { settings }).settings.schema()), {
    type: "object", additionalProperties: false,
    properties: {
      fast: { type: "integer", default: 20 }, "take-profit-percent": { type: "number", default: 1 },
      mode: { type: "string", default: "up" }, "is-bold": { type: "boolean", default: false },
    },
  });
});

test("what cannot be a strategy is refused where it is defined", () => {
  for (const [definition, words] of [
    [{ signal() {} }, "name"],
    [{ name: "s" }, "needs a function signal"],
    [{ name: "s", signal() {}, interval: "2m" }, "interval of s"],
    [{ name: "s", signal() {}, singal() {} }, "has no singal"],
    [{ name: "s", signal() {}, settings: { a: null } }, "default of the setting a"],
    [null, "takes an object"],
  ])
    assert.throws(() => strategy(definition), (error) => error instanceof TypeError && error.message.includes(words), words);
});

test("an answer is checked where it is made", () => {
  for (const [make, words] of [
    [() => long({ takeProfit: 1 }), "long() needs stopLoss"],
    [() => short({ takeProfit: 1, stopLoss: "2" }), 'short(): stopLoss must be a number; found "2"'],
    [() => long({ takeprofit: 1, stopLoss: 2 }), "long() has no takeprofit; it has takeProfit"],
    [() => long(), "takes an object"],
    [() => quiet({ below: 1 }), "minutes must be a number"],
    [() => quiet({ minutes: Infinity }), "must be finite"],
    [() => ask(of(() => ({ position: "long" })), rising(5)), "signal() must return long"],
    [() => ask(of(async () => null), rising(5)), "it returned a promise"],
    [() => ask(of(() => null, { start: async () => {} }), rising(5)), "start() must answer at once"],
  ])
    assert.throws(make, (error) => error instanceof TypeError && error.message.includes(words), words);
  assert.deepEqual({ ...long({ takeProfit: 1, stopLoss: 2, note: null }) }, { position: "long", takeProfit: 1, stopLoss: 2 });
});

test("columns are the last candles, oldest first, and null while there are not so many", () => {
  const rows = [[1, 5, 0, 2, 10], [2, 6, 1, 3, 11], [3, 7, 2, 4, 12]].map(([open, high, low, close, volume]) => ({ open, high, low, close, volume }));
  const found = seen(
    ({ candles }) => [candles.opens(2), candles.highs(2), candles.lows(3), candles.closes(1), candles.volumes(2), candles.closes(4)],
    candles(rows),
  );
  assert.deepEqual(found, [[2, 3], [6, 7], [0, 1, 2], [4], [11, 12], null]);
  assert.deepEqual(seen(({ candles }) => candles.last(2), candles(rows)), candles(rows).slice(1));
  for (const count of [0, -1, 1.5, NaN, "2", undefined])
    assert.throws(() => seen(({ candles }) => candles.closes(count), rising(5)), RangeError, String(count));
});

test("a window is right whatever was asked before, at whatever minutes", () => {
  const series = rising(300);
  // A fixed order of questions that look alike random: columns, lengths and gaps of all kinds.
  let dice = 7;
  const roll = (below) => (dice = (dice * 48271) % 2147483647) % below;
  let next = 0, checked = 0;
  const picky = of(({ whenMs, candles }) => {
    if (whenMs < next) return null;
    next = whenMs + 60_000 * [1, 1, 1, 2, 5, 40, 90][roll(7)];
    for (let times = roll(3); times >= 0; times--) {
      const count = [1, 2, 7, 30, 60, 100][roll(6)], newest = whenMs / 60_000;
      const expected = newest < count ? null : Array.from({ length: count }, (_, i) => newest - count + 1 + i);
      assert.deepEqual([candles.opens(count), candles.lows(count), candles.closes(count)][roll(3)], expected);
      checked++;
    }
    return null;
  });
  for (let round = 0; round < 40; round++, next = 0) play(picky, series);
  assert.ok(checked > 1000, String(checked));
});

test("an author may change what a window returned", () => {
  const sums = [];
  const careless = of(({ candles }) => {
    const last = candles.closes(3), hours = candles.closes(1, "3m");
    if (last && hours) sums.push(last.reduce((a, b) => a + b), ...hours);
    last?.fill(0);
    hours?.fill(0);
    return null;
  });
  play(careless, rising(8));
  assert.deepEqual(sums, [3 + 4 + 5, 3, 4 + 5 + 6, 6, 5 + 6 + 7, 6, 6 + 7 + 8, 6]);
});

test("other intervals and symbols", () => {
  const series = { BTCUSDT: rising(70), ETHUSDT: closes(Array.from({ length: 70 }, (_, i) => 2 * i)) };
  const found = seen(({ candles, averagePrice }) => ({
    hour: candles.last(1, "1h"), other: candles.closes(2, "1m", "ETHUSDT"), young: candles.closes(2, "1h"),
    own: candles.closes(2, "1m", "BTCUSDT"), average: averagePrice("ETHUSDT"), ofOwn: averagePrice(),
  }), series);
  assert.deepEqual(found, {
    hour: [{ openTimeMs: 0, open: 1, high: 60, low: 1, close: 60, volume: 60 }], other: [136, 138], young: null,
    own: [69, 70], average: 134, ofOwn: 68,
  });
  const codeOf = (look) => {
    try {
      seen(look, series);
    } catch (error) {
      return error instanceof Retry && error.code;
    }
  };
  assert.equal(codeOf(({ candles }) => candles.closes(1, "1m", "XRPUSDT")), "unknown-symbol");
  assert.equal(codeOf(({ candles }) => candles.closes(1, "7m")), "unknown-interval");
});

test("an hour is fetched once in an hour", () => {
  let fetched = 0;
  const series = rising(200);
  const hourly = of(({ candles }) => void candles.closes(1, "1h"));
  // The market of the test has no counter, so its candles have one.
  Object.defineProperty(series[0], "openTimeMs", { get: () => (fetched++, 0) });
  play(hourly, series);
  // Each hour it is fetched once; before the first hour has closed there is nothing, which is known as well.
  assert.ok(fetched < 30, `${fetched} looks at the first candle in 196 questions`);
});

test("trades, memory, session and the candle of the question", () => {
  const trades = [1, 2, 3].map((id) => ({ id: String(id) }));
  assert.deepEqual(seen(({ trades }) => trades(2), rising(5), { trades }), trades.slice(1));
  const counting = of(({ memory }) => {
    const seen = memory.get("seen") ?? 0;
    memory.set("seen", seen + 1);
    memory.set("gone", "é😀");
    if (memory.get("gone") === "é😀") memory.remove("gone");
    return null;
  });
  assert.deepEqual(play(counting, rising(8)).map(({ memory }) => memory), [1, 2, 3, 4].map((seen) => ({ seen })));
  assert.deepEqual(play(counting, rising(5), { memory: { seen: 7 } })[0].memory, { seen: 8 });
  assert.throws(() => seen(({ memory }) => memory.set("f", () => 1), rising(5)), /cannot be kept/);
  const session = { strategy: "mine", exchange: "binance" };
  assert.deepEqual(seen((tick, _, session) => ({ ...session }), rising(5), { session }), { symbol: "BTCUSDT", strategy: "mine", exchange: "binance", frame: null });
  const candle = candles([{ open: 1, high: 4, low: 0.5, close: 3, volume: 9 }]);
  assert.deepEqual(seen(({ whenMs, price, open, high, low, close, volume }) => [whenMs, price, open, high, low, close, volume], candle), [60_000, 2.5, 1, 4, 0.5, 3, 9]);
});

test("a promise of silence", () => {
  const said = ask(of(() => quiet({ minutes: 5, below: 90 })), rising(5));
  assert.ok(isQuiet(said));
  assert.deepEqual({ ...said }, { minutes: 5, below: 90, above: Infinity });
  assert.ok(!isQuiet(long({ takeProfit: 1, stopLoss: 2 })) && !isQuiet(null));
});

test("play asks at due minutes", () => {
  const every = strategy({ name: "s", interval: "5m", signal: () => null });
  assert.deepEqual(play(every, rising(16)).map(({ whenMs }) => whenMs / 60_000), [5, 10, 15]);
  assert.equal(play(every, rising(16), { interval: "1m" }).length, 12);
});
