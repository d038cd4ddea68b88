/**
 * A strategy as the component exports it. A component that is built for one strategy is this, and the strategy's module:
 *
 *   import * as author from "./dip.js";
 *   import { guest } from "sigbox/guest/strategy";
 *   export const strategy = guest(author, "dip.js");
 *
 * An interpreter does the same with a text, and gives the texts of the author's files to show lines of them.
 */
import * as answer from "sigbox:strategy/answer@0.1.0";
import * as market from "sigbox:host/market@0.1.0";
import * as memory from "sigbox:host/memory@0.1.0";
import * as session from "sigbox:host/session@0.1.0";
import * as trades from "sigbox:host/trades@0.1.0";
import { Retry, Strategy, isQuiet, started, untilMs } from "../strategy.js";
import { failure } from "./errors.js";
import { install, report, track } from "./globals.js";

/** Calls the host. What it refuses for now is a Retry. */
function asked(call) {
  try {
    return call();
  } catch (error) {
    const { code, message } = error?.payload ?? {};
    throw code === undefined ? error : new Retry(message, code);
  }
}

const host = {
  columns(symbol, interval, fields, count) {
    try {
      return asked(() => market.columns(symbol, interval, fields, count));
    } catch (error) {
      if (error.code === "not-enough-history") return null;
      throw error;
    }
  },
  nextCandles: (afterMs, count) => market.nextCandles(afterMs, count),
  averagePrice: (symbol) => asked(() => market.averagePrice(symbol)),
  trades: (count) => trades.last(count),
  remembered: (name) => memory.get(name),
  remember: (name, value) => asked(() => memory.set(name, value)),
  forget: (name) => memory.remove(name),
};

export function guest(author, path, texts = {}) {
  const definition = author.default;
  if (!(definition instanceof Strategy)) return broken(new TypeError(`${path} needs a strategy: export default strategy({ … })`), path, texts);
  install(texts);
  let ask = null;
  return {
    track,
    report,
    describe() {
      const { name, version, interval, settings } = definition;
      return { name, version, interval, settingsSchema: settings.schema(), features: [], extra: null };
    },
    start() {
      try {
        const who = { symbol: session.symbol(), strategy: session.strategy(), exchange: session.exchange(), frame: session.frame() };
        ask = started(definition, host, who, JSON.parse(session.settings()));
      } catch (error) {
        throw failure(error, texts);
      }
    },
    getSignal(whenMs, price, open, high, low, close, volume) {
      let said;
      try {
        said = ask(whenMs, price, open, high, low, close, volume);
      } catch (error) {
        const { code, message, retryable } = failure(error, texts);
        return answer.fail(code, message, retryable);
      }
      if (said !== null) say(whenMs, said);
    },
  };
}

function say(whenMs, said) {
  if (isQuiet(said)) return answer.quiet(untilMs(whenMs, said), said.below, said.above);
  const { id, symbol, position, limit, takeProfit, stopLoss, minutes, cost, leverage, isolated, note } = said;
  answer.trade({
    id: id ?? null,
    symbol: symbol ?? null,
    position,
    priceOpen: limit ?? null,
    priceTakeProfit: takeProfit,
    priceStopLoss: stopLoss,
    minuteEstimatedTime: minutes ?? null,
    cost: cost ?? null,
    multiplier: leverage ?? null,
    isolated: isolated ?? null,
    note: note ?? null,
    extra: null,
  });
}

/** A strategy whose module cannot be read: it says why when it is started, because `describe` has no way to. */
export function broken(error, path, texts) {
  const message = failure(error, texts);
  return {
    track() {},
    report() {},
    describe: () => ({ name: path, version: "0.0.0", interval: "1m", settingsSchema: null, features: [], extra: null }),
    start() {
      throw { ...message, retryable: false };
    },
    getSignal: () => answer.fail(message.code, message.message, false),
  };
}
