"""sma_cross, which promises silence while the averages cannot cross. It trades the same."""

from math import inf, sqrt

from sigbox import Tick, quiet
from sma_cross import SmaCross, above

MINUTE_MS = 60_000


class SmaCrossQuiet(SmaCross):
    def signal(self, tick: Tick):
        closes = tick.closes(self.slow + 1)
        if closes is None:
            return None
        before, now = above(closes, self.fast, self.slow)
        if before != now:
            return self.trade(tick.price, now)
        if promise := calm(closes[1:], self.fast):
            minutes, below, higher = promise
            return quiet(tick.when_ms + (minutes + 1) * MINUTE_MS, below=below, above=higher)
        return None


def calm(closes, fast):
    """For how many minutes the averages cannot cross, as long as no close is below or above a bound; None: for none.

    plugins/strategies/sma-cross-quiet says why.
    """
    slow = len(closes)
    newest = closes[-1]
    gap = sum(closes[-fast:]) / fast - sum(closes) / slow
    margin = 1e-9 * max(closes)
    if abs(gap) <= margin:
        return None
    up = 1 if gap > 0 else -1
    usual = sum(abs(closes[i] - closes[i - 1]) for i in range(1, slow)) / (slow - 1)
    weight = 1 / fast - 1 / slow
    known, room, found = gap, inf, None
    for minutes in range(1, fast + 1):
        known += closes[minutes - 1] / slow - closes[slow - fast + minutes - 1] / fast
        level = (up * margin - known) / (minutes * weight)
        room = min(room, up * (newest - level))
        if room <= usual * sqrt(minutes):
            break
        found = minutes, newest - up * room
    if found is None:
        return None
    minutes, level = found
    return (minutes, level, inf) if up > 0 else (minutes, -inf, level)
