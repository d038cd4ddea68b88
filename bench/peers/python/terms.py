"""What every Python peer trades, and how it says what came of it.

A peer is called with a Parquet file of candles and the minutes between two looks for an entry. It prints one line of
JSON last: the seconds of the run itself, the candles, and the closed trades.
"""

import json
import sys
import time

import pandas

FAST, SLOW = 20, 60
TAKE_PROFIT, STOP_LOSS = 0.01, 0.005
MINUTES = 240
FEE, SLIPPAGE = 0.001, 0.001


def arguments():
    """The candles and the minutes between two looks."""
    file, every = sys.argv[1:]
    candles = pandas.read_parquet(file)
    # Times are UTC in the file. pandas converts an index that says so value by value whenever its times are compared,
    # which would be most of what vectorbt does.
    return candles.set_index(candles.pop("open_time").dt.tz_localize(None)), int(every)


def looks(candles, every):
    """At which candles an entry is looked for: those that close on a multiple of `every` minutes."""
    return (candles.index.as_unit("ms").asi8 // 60_000 + 1) % every == 0


def timed(run):
    """What `run` returns, and the seconds it took."""
    started = time.perf_counter()
    result = run()
    return result, time.perf_counter() - started


def report(candles, trades, seconds):
    print(json.dumps({"seconds": seconds, "candles": len(candles), "trades": int(trades)}))
