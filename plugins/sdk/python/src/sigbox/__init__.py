"""Write sigbox plugins in Python.

A strategy is a class with typed settings and one method::

    from sigbox import Strategy, Tick, long

    class Dip(Strategy, interval="5m"):
        percent: float = 1.0

        def signal(self, tick: Tick):
            highs = tick.highs(60)
            if highs and tick.price < max(highs) * (1 - self.percent / 100):
                return long(take_profit=tick.price * 1.02, stop_loss=tick.price * 0.99, minutes=240)

`sigbox.testing` asks a strategy in plain Python. `sigbox.persistence` is for storage backends.
"""

from . import log
from ._strategy import (
    Candle,
    Quiet,
    Refuse,
    Retry,
    Session,
    Signal,
    Strategy,
    Tick,
    Trade,
    long,
    quiet,
    short,
)

__all__ = [
    "Candle",
    "Quiet",
    "Refuse",
    "Retry",
    "Session",
    "Signal",
    "Strategy",
    "Tick",
    "Trade",
    "log",
    "long",
    "quiet",
    "short",
]
