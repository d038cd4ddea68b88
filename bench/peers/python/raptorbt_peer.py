"""raptorbt: whole columns at once through its Rust kernel, or a Python class that is called at each candle.

It buys only. After a stop its columns enter again only when an exit has been signalled since, so an exit is signalled at
each cross below, and that ends a position too. It has no exit by time.

With `class`, the strategy is a Python class. It looks at averages that were computed before, so what is measured is the
call at each candle.
"""

import sys

import numpy
import raptorbt

from terms import FAST, FEE, SLIPPAGE, SLOW, STOP_LOSS, TAKE_PROFIT, arguments, looks, report, timed

BY_CLASS = sys.argv[-1] == "class" and bool(sys.argv.pop())
CALLS = 1 if BY_CLASS else 5


def crosses(close):
    """Where the fast average is above the slow one and was not before, and the other way round."""
    above = raptorbt.sma(close, FAST) > raptorbt.sma(close, SLOW)
    before = numpy.concatenate(([above[0]], above[:-1]))
    return above & ~before, before & ~above


class SmaCross(raptorbt.Strategy):
    look = None

    def on_start(self, context):
        self.up, self.down = crosses(context.close)

    def on_bar(self, context):
        at = context.idx
        if context.position is None and self.up[at] and self.look[at]:
            self.enter()


def configuration():
    config = raptorbt.BacktestConfig(initial_capital=1e9, fees=FEE, slippage=SLIPPAGE)
    config.set_fixed_stop(STOP_LOSS)
    config.set_fixed_target(TAKE_PROFIT)
    return config


def run(columns, look):
    if BY_CLASS:
        SmaCross.look = look
        return raptorbt.run_strategy_backtest(SmaCross, *columns, config=configuration())
    up, down = crosses(columns[4])
    return raptorbt.run_single_backtest(*columns, up & look, down, config=configuration())


def main():
    candles, every = arguments()
    look = looks(candles, every)
    times = candles.index.as_unit("ns").asi8
    columns = [times, *(candles[name].to_numpy(float).copy() for name in ("open", "high", "low", "close", "volume"))]
    if not BY_CLASS:
        run(columns, look)
    results, seconds = timed(lambda: [run(columns, look) for _ in range(CALLS)])
    report(candles, results[-1].metrics.total_closed_trades, seconds / CALLS)


if __name__ == "__main__":
    main()
