// A strategy that uses everything, for sigbox.test.mjs.
import { fail, flag, giveUp, highest, long, lowest, mean, number, short, Signal, strategy, Tick, whole, word } from "../sigbox";
export { cabi_realloc, describe, start, getSignal } from "../sigbox";

const mode = word("mode", "look", 'what "to" do');
const percent = number("percent", 1.5);
const count = whole("count", 3);
const isLoud = flag("is-loud", false);

function check(): string | null {
  console.info(`${mode.value} ${percent.value} ${count.value} ${isLoud.value}`);
  return count.value == 13 ? `count must not be ${count.value}` : null;
}

function look(tick: Tick): void {
  const n = count.value, closes = tick.closes(n), candles = tick.last(n), other = tick.closes(n + 40);
  tick.last(n + 40);
  if (closes === null || candles === null) {
    assert(closes === null && candles === null && tick.price < <f64>n, "too few");
    return;
  }
  for (let i = 0; i < n; i++) {
    const wanted = tick.price - <f64>(n - 1 - i);
    assert(closes[i] == wanted && candles[i].close == wanted, "another close");
    if (other !== null) assert(other[i + 40] == wanted, "a window moved another");
  }
}

function everything(tick: Tick): Signal | null {
  if (tick.price != 130) return null;
  const hours = tick.marketCandles("TEST", "1h", 2)!;
  assert(hours.length == 2 && hours[1].open == 61 && hours[1].high == 120 && hours[1].volume == 60, "hours");
  assert(tick.marketCandles("ETH", "1h", 3) === null, "too few hours");
  const highs = tick.marketColumn("ETH", "1m", "high", 2)!;
  assert(highest(highs) == 120 && lowest(highs) == 119 && mean(highs) == 119.5, "column");
  assert(tick.candlesAfter("ETH", "30m", tick.newest.openTimeMs - 99 * 60_000, 9)!.length == 2, "after");
  assert(tick.averagePrice("ETH") == 118, "average");
  const trades = tick.trades(2);
  assert(trades.length == 2 && trades[1].id == "b" && trades[1].reason == "closed" && trades[0].cost == 5, "trades");
  assert(tick.remembered("n")! == "é" && tick.remembered("m") === null, "remembered");
  tick.forget("n");
  assert(tick.remember("m", "2") && tick.remembered("n") === null, "forgotten");
  const signal = short(1, 2).lasting(240).at(3);
  signal.note = "note é";
  signal.isolated = 0;
  return signal;
}

function uses(tick: Tick): Signal | null {
  const m = mode.value;
  if (m == "look") look(tick);
  if (m == "everything") return everything(tick);
  if (m == "large") tick.remember("n", "x".repeat(17_000));
  if (m == "unknown") tick.averagePrice("XRP");
  if (m == "fail") return fail("my words");
  if (m == "give-up") return giveUp("my words");
  if (m == "throw") throw new Error("thrown");
  if (m == "index") return long(tick.highs(1)![1], 1);
  if (m == "promise") {
    tick.quiet(u64.MAX_VALUE, 90, 110);
    return tick.price < percent.value ? long(1, 1) : null;
  }
  return null;
}

strategy("uses", "0.1.0", "1m", uses, check);
