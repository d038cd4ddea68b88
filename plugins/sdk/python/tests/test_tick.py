"""What a tick says must be what the market says, however the strategy is asked."""

import random

import pytest
from sigbox import Candle, Retry, Strategy
from sigbox._strategy import MINUTE_MS, Tick, asking
from sigbox.testing import _Market, closes

COLUMNS = {"opens": 1, "highs": 2, "lows": 3, "closes": 4, "volumes": 5}


def made(count, seed=1, start_ms=1_704_067_200_000):
    chance = random.Random(seed)
    return [
        Candle(start_ms + i * MINUTE_MS, *(chance.uniform(1, 100) for _ in range(5))) for i in range(count)
    ]


class Counting(_Market):
    """A market that hands out at most `most` minutes in one call, as a host does, and counts what it hands out."""

    most = 50

    def __init__(self, candles):
        super().__init__("TEST", {"TEST": candles})
        self.numbers = self.calls = 0

    def next_candles(self, after_ms, limit):
        numbers = super().next_candles(after_ms, min(limit, self.most))
        self.calls, self.numbers = self.calls + 1, self.numbers + len(numbers)
        return numbers

    def columns(self, *asked):
        numbers = super().columns(*asked)
        self.calls, self.numbers = self.calls + 1, self.numbers + len(numbers or [])
        return numbers


def run(candles, minutes, signal):
    """Asks about some minutes of `candles`."""
    market = Counting(candles)

    def fail(error):
        raise error

    tick = Tick(market, "TEST")
    get_signal = asking(signal, tick, lambda said: None, fail)
    for minute in minutes:
        market.now_ms = candles[minute].open_time_ms + MINUTE_MS
        get_signal(market.now_ms, 1.0, *candles[minute][1:])
    return market, tick


@pytest.mark.parametrize("seed", range(40))
def test_every_window_is_that_of_the_market(seed):
    chance = random.Random(seed)
    candles = made(1500, seed)
    minutes, minute = [], 0
    while minute < len(candles):
        minutes.append(minute)
        minute += 1 if chance.random() < 0.97 else chance.choice([2, 3, 10, 49, 51, 120, 400])
    asked = [0]

    def signal(tick):
        minute = (tick.when_ms - candles[0].open_time_ms) // MINUTE_MS
        for _ in range(chance.randrange(3)):
            name, count = chance.choice([*COLUMNS]), chance.choice([1, 2, 7, 30, 49, 60, 61, 200])
            found = getattr(tick, name)(count)
            there = [candle[COLUMNS[name]] for candle in candles[max(0, minute - count) : minute]]
            assert found == (there if minute >= count else None), (minute, name, count)
            if found:
                found.clear()
            asked[0] += 1
        if chance.random() < 0.05:
            count = chance.choice([1, 5, 60])
            assert tick.candles(count) == (candles[minute - count : minute] if minute >= count else None)

    run(candles, minutes, signal)
    assert asked[0] > 100


def test_a_minute_that_follows_costs_no_call():
    market, _ = run(made(1000), range(100, 1000), lambda tick: tick.closes(61))
    assert market.calls == 1 and market.numbers == 61


def test_minutes_that_were_not_asked_are_fetched_and_nothing_else():
    market, _ = run(made(300), range(100, 300, 5), lambda tick: tick.closes(61))
    assert market.numbers == 61 + 39 * 5 * 5


def test_a_strategy_that_asks_for_no_candles_keeps_none():
    _, tick = run(made(5000), range(5000), lambda tick: None)
    assert tick._used == [] and not any(tick._columns)


def test_what_is_kept_is_bounded():
    _, tick = run(made(5000), range(5000), lambda tick: (tick.closes(61), tick.highs(10)))
    assert all(len(column) <= 4 * 64 for column in tick._columns) and len(tick._closes) >= 61


def test_a_young_market_says_none_and_goes_on():
    seen = []
    run(made(70), range(70), lambda tick: seen.append(tick.closes(61) is not None))
    assert seen == [False] * 60 + [True] * 10


def test_other_symbols_and_intervals():
    mine, other = made(200), made(200, 7)
    market = _Market("TEST", {"TEST": mine, "OTHER": other})
    market.now_ms = mine[-1].open_time_ms + MINUTE_MS
    tick = Tick(market, "TEST")
    tick.when_ms = market.now_ms
    assert tick.closes(3, symbol="OTHER") == [candle.close for candle in other[-3:]]
    assert tick.candles(2, "1h") == [
        Candle(
            part[0].open_time_ms,
            part[0].open,
            max(candle.high for candle in part),
            min(candle.low for candle in part),
            part[-1].close,
            sum(candle.volume for candle in part),
        )
        for part in (mine[60:120], mine[120:180])
    ]
    assert tick.closes(4, "1h") is None
    assert tick.highs(1, "5m", "OTHER") == [max(candle.high for candle in other[-5:])]
    with pytest.raises(Retry, match="NONE") as error:
        tick.closes(1, symbol="NONE")
    assert error.value.code == "unknown-symbol"
    with pytest.raises(Retry, match="7m"):
        tick.closes(1, "7m")


@pytest.mark.parametrize("count", [0, -1, 1 << 32])
def test_a_count_that_is_none(count):
    with pytest.raises(ValueError, match="a count must be at least 1"):
        run(made(5), range(5), lambda tick: tick.closes(count))


@pytest.mark.parametrize("count", ["3", 3.0, None, True])
def test_a_count_of_another_type(count):
    with pytest.raises(TypeError):
        run(made(5), range(5), lambda tick: tick.lows(count))


def test_the_time_as_a_date():
    dates = []
    run(closes([1.0]), range(1), lambda tick: dates.append(tick.when.isoformat()))
    assert dates == ["2024-01-01T00:01:00+00:00"]


def test_a_strategy_without_signal_says_so():
    class Empty(Strategy):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no method signal"):
        run(made(1), range(1), Empty().signal)
