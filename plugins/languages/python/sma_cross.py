"""Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below."""

from sigbox import Refuse, Strategy, Tick, long, short


class SmaCross(Strategy, interval="1m"):
    fast: int = 20
    slow: int = 60
    take_profit_percent: float = 1.0
    stop_loss_percent: float = 0.6
    minutes: int = 240

    def start(self):
        if not 0 < self.fast < self.slow:
            raise Refuse(f"fast must be at least 1 and below slow; found fast {self.fast} slow {self.slow}")

    def signal(self, tick: Tick):
        closes = tick.closes(self.slow + 1)
        if closes is None:
            return None
        before, now = above(closes, self.fast, self.slow)
        return None if before == now else self.trade(tick.price, now)

    def trade(self, price, is_above):
        up, trade = (1, long) if is_above else (-1, short)
        return trade(
            take_profit=price * (1 + up * self.take_profit_percent / 100),
            stop_loss=price * (1 - up * self.stop_loss_percent / 100),
            minutes=self.minutes,
        )


def above(closes, fast, slow):
    """Whether the fast average is above the slow one, before the last close and with it."""
    before, now = gaps(closes, fast, slow, sum)
    if min(abs(before), abs(now)) < 1e-9 * closes[0]:
        # So close to each other that the last bits decide, and they depend on the order of additions.
        before, now = gaps(closes, fast, slow, eight_lanes)
    return before > 0, now > 0


def gaps(closes, fast, slow, total):
    """How far the fast average is above the slow one, before the last close and with it."""
    at = slow - fast
    first, first_fast, last = closes[0], closes[at], closes[slow]
    shared = total(closes[at + 1 : slow])
    shared_slow = total(closes[1:at]) + first_fast + shared
    before = (first_fast + shared) / fast - (first + shared_slow) / slow
    return before, (shared + last) / fast - (shared_slow + last) / slow


def eight_lanes(numbers):
    """A sum of the very bits of the Rust sample. A strategy of your own does without: `sum` adds more exactly."""
    lanes = [0.0] * 8
    for i, number in enumerate(numbers):
        lanes[i % 8] += number
    a, b, c, d, e, f, g, h = lanes
    return ((a + e) + (b + f)) + ((c + g) + (d + h))
