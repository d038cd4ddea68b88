"""Buys when the fast moving average of the closes crosses above the slow one, sells when it crosses below."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.strategy import Descriptor, Failure
from wit_world.imports import answer, market, session
from wit_world.imports.answer import Position, Signal

MINUTE_MS = 60_000
DEFAULTS = {"fast": 20, "slow": 60, "take-profit-percent": 1.0, "stop-loss-percent": 0.6, "minutes": 240}


class Strategy(exports.Strategy):
    # componentize-py makes an object of this class for each function, so what they share is kept on the class.
    closes: list[float] = []
    when_ms = 0

    def describe(self):
        return Descriptor("sma-cross", "0.1.0", "1m", None, [], None)

    def start(self):
        given = json.loads(session.settings())
        for name in given.keys() - DEFAULTS.keys():
            raise refusal(f"there is no setting {name}; there are: {', '.join(DEFAULTS)}")
        settings = DEFAULTS | given
        for name, value in settings.items():
            if type(value) not in (int, type(DEFAULTS[name])):
                kind = "whole number" if isinstance(DEFAULTS[name], int) else "number"
                raise refusal(f"{name} must be a {kind}; found {json.dumps(value)}")
        cls = Strategy
        cls.fast, cls.slow, cls.take_profit_percent, cls.stop_loss_percent, cls.minutes = settings.values()
        if not 0 < cls.fast < cls.slow:
            raise refusal(f"fast must be at least 1 and below slow; found fast {cls.fast} slow {cls.slow}")
        cls.symbol = session.symbol()

    def get_signal(self, when_ms, price, open, high, low, close, volume):
        closes = window(self.slow + 1, when_ms, close)
        if closes is None:
            return
        before, now = above(closes, self.fast, self.slow)
        if before != now:
            self.trade(price, now)

    def trade(self, price, is_above):
        up = 1 if is_above else -1
        answer.trade(
            Signal(
                id=None,
                symbol=None,
                position=Position.LONG if is_above else Position.SHORT,
                price_open=None,
                price_take_profit=price * (1 + up * self.take_profit_percent / 100),
                price_stop_loss=price * (1 - up * self.stop_loss_percent / 100),
                minute_estimated_time=float(self.minutes),
                cost=None,
                multiplier=None,
                isolated=None,
                note=None,
                extra=None,
            )
        )


def window(count, when_ms, close):
    """The last closes, or None while there are not so many. The one that is new came with the question."""
    cls = Strategy
    if cls.closes and when_ms == cls.when_ms + MINUTE_MS:
        del cls.closes[0]
        cls.closes.append(close)
    else:
        try:
            cls.closes = market.columns(cls.symbol, "1m", ["close"], count)
        except Err as error:
            cls.closes = []
            if error.value.code != "not-enough-history":
                answer.fail(error.value.code, error.value.message, True)
            return None
    cls.when_ms = when_ms
    return cls.closes


def above(closes, fast, slow):
    """Whether the fast average is above the slow one, before the last close and with it."""
    at = slow - fast
    first, first_fast, last = closes[0], closes[at], closes[slow]
    shared = total(closes[at + 1 : slow])
    shared_slow = total(closes[1:at]) + first_fast + shared
    before = (first_fast + shared) / fast > (first + shared_slow) / slow
    return before, (shared + last) / fast > (shared_slow + last) / slow


def total(numbers):
    """The sum in eight lanes, as the Rust sample adds: the same bits. `sum` adds more exactly, so its bits differ."""
    each = iter(numbers + [0.0] * (-len(numbers) % 8))
    a = b = c = d = e = f = g = h = 0.0
    for a1, b1, c1, d1, e1, f1, g1, h1 in zip(*[each] * 8):
        a += a1; b += b1; c += c1; d += d1; e += e1; f += f1; g += g1; h += h1  # fmt: skip
    return ((a + e) + (b + f)) + ((c + g) + (d + h))


def refusal(message):
    return Err(Failure("settings", message, False, None))
