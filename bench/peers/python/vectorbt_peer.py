"""vectorbt: whole columns at once, through its compiled kernels.

It opens and closes at the close of the candle that crossed. Its signal columns cannot say "four hours after the entry",
so a position lives until a stop; with `timed-exit`, a function compiled by numba closes it in time instead.

The first call compiles, loads and fills caches; the figure is the mean of the calls after it.
"""

import sys

import numpy
import vectorbt
from numba import njit

from terms import FAST, FEE, MINUTES, SLIPPAGE, SLOW, STOP_LOSS, TAKE_PROFIT, arguments, looks, report, timed

TIMED_EXIT = sys.argv[-1] == "timed-exit" and bool(sys.argv.pop())
CALLS = 5


@njit
def signals(context, entries, short_entries, opened):
    """Enters on the columns, and leaves a position that is old enough."""
    i, column = context.i, context.col
    position = context.position_now
    if position == 0:
        opened[column] = i
        return entries[i, column], False, short_entries[i, column], False
    old = i - opened[column] >= MINUTES
    return False, old and position > 0, False, old and position < 0


def run(candles, look):
    close = candles["close"]
    fast, slow = vectorbt.MA.run(close, FAST), vectorbt.MA.run(close, SLOW)
    up = fast.ma_crossed_above(slow) & look
    down = fast.ma_crossed_below(slow) & look
    if TIMED_EXIT:
        shape = (len(candles), 1)
        columns = (up.to_numpy().reshape(shape), down.to_numpy().reshape(shape), numpy.zeros(1, numpy.int64))
        how = {"signal_func_nb": signals, "signal_args": columns, "engine": "numba"}
    else:
        how = {"entries": up, "short_entries": down, "upon_opposite_entry": "ignore", "engine": "rust"}
    return vectorbt.Portfolio.from_signals(
        close, open=candles["open"], high=candles["high"], low=candles["low"], sl_stop=STOP_LOSS, tp_stop=TAKE_PROFIT,
        fees=FEE, slippage=SLIPPAGE, size=1.0, init_cash=1e9, freq="1min", **how,
    )


def main():
    candles, every = arguments()
    look = looks(candles, every)
    run(candles, look)
    results, seconds = timed(lambda: [run(candles, look) for _ in range(CALLS)])
    report(candles, results[-1].trades.closed.count(), seconds / CALLS)


if __name__ == "__main__":
    main()
