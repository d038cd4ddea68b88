"""Ask a strategy in plain Python, about candles that a test makes or reads.

    from sigbox.testing import ask, closes

    def test_buys_a_dip():
        answers = [said for _, said in ask(Dip(percent=1.0), closes([100.0] * 60 + [98.0])) if said]
        assert answers[0].position == "long"

Positions are not simulated. For that there is `sigbox backtest`.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from ._strategy import FIELDS, MINUTE_MS, Candle, Quiet, Retry, Session, Signal, Strategy, Tick, Trade, asking, checked

INTERVALS = {"1m": 1, "3m": 3, "5m": 5, "15m": 15, "30m": 30, "1h": 60, "2h": 120, "4h": 240, "6h": 360, "8h": 480}
INTERVALS |= {"12h": 720, "1d": 1440}
_MEMORY_BYTES, _BYTES_OF_A_NAME = 16 * 1024, 64
_TRADES_KEPT = 32
_AVERAGE_OF = 5


def closes(prices: Iterable[float], start_ms: int = 1_704_067_200_000, volume: float = 1.0) -> list[Candle]:
    """Candles of one minute that open, trade and close at `prices`. The first opens at `start_ms`: 1 January 2024."""
    return [Candle(start_ms + i * MINUTE_MS, p, p, p, p, volume) for i, p in enumerate(map(float, prices))]


def read_csv(path: str | Path) -> list[Candle]:
    """Candles of a file of minutes with a header: open_time (milliseconds, or ISO 8601), open, high, low, close, volume.

    Raises `ValueError` with the line for what is no such candle, and where a minute is missing.
    """
    candles: list[Candle] = []
    with open(path, newline="", encoding="utf-8") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                candle = Candle(_time(row["open_time"]), *(float(row[field]) for field in FIELDS))
            except KeyError as error:
                raise ValueError(f"{path}: there is no column {error}") from None
            except (TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {line}: {error}") from None
            if candles and candle.open_time_ms != candles[-1].open_time_ms + MINUTE_MS:
                raise ValueError(f"{path}, line {line}: this minute does not follow the one before")
            candles.append(candle)
    return candles


def ask(
    strategy: Strategy,
    candles: Sequence[Candle],
    *,
    symbol: str = "TEST",
    others: Mapping[str, Sequence[Candle]] = {},
    interval: str | None = None,
    trades: Sequence[Trade] = (),
    memory: dict[str, bytes] | None = None,
) -> Iterator[tuple[int, Signal | Quiet | None]]:
    """Starts a strategy and asks it at each due time. Yields when it was asked, in milliseconds since the Unix epoch,
    and what it said. What it raises comes out, and so does what sigbox would refuse in an answer.

    `candles` are the minutes of its own `symbol`, `others` those of other symbols. `interval` is how often it is asked,
    instead of what the strategy wants. `trades` are what it finds as its own trades, `memory` is what it remembers,
    which it changes. It sees no candle before that has closed. A promise of silence is yielded and not acted upon.
    """
    market = _Market(symbol, {symbol: list(candles), **{other: list(them) for other, them in others.items()}})
    market.closed, market.kept = list(trades), {} if memory is None else memory
    strategy.session = Session(symbol, strategy.name, "test")
    strategy.start()
    said: list[Signal | Quiet | None] = []
    every_ms = _minutes(interval or strategy.interval) * MINUTE_MS
    get_signal = asking(strategy.signal, Tick(market, symbol), lambda answer: said.append(checked(answer)), _raise)
    for candle in candles:
        market.now_ms = candle.open_time_ms + MINUTE_MS
        if market.now_ms % every_ms == 0:
            said.clear()
            get_signal(market.now_ms, market.average_price(symbol), *candle[1:])
            yield market.now_ms, said[0] if said else None


def _raise(error: BaseException) -> None:
    raise error


class _Market:
    """What a strategy asks in a test."""

    def __init__(self, symbol: str, candles: dict[str, list[Candle]]):
        self.symbol, self.candles, self.now_ms = symbol, candles, 0
        self.closed: list[Trade] = []
        self.kept: dict[str, bytes] = {}

    def seen(self, symbol: str) -> list[Candle]:
        """What has closed."""
        if symbol not in self.candles:
            raise Retry(f"there is no symbol {symbol}", "unknown-symbol")
        candles = self.candles[symbol]
        first_ms = candles[0].open_time_ms if candles else 0
        return candles[: max(0, (self.now_ms - first_ms) // MINUTE_MS)]

    def next_candles(self, after_ms: int, limit: int) -> list[float]:
        seen = self.seen(self.symbol)
        first = (after_ms - seen[0].open_time_ms) // MINUTE_MS + 1 if seen else 0
        return [x for candle in seen[first : first + limit] for x in candle[1:]] if first >= 0 else []

    def columns(self, symbol: str, interval: str, fields: list[str], limit: int) -> list[float] | None:
        candles = _bars(self.seen(symbol), _minutes(interval) * MINUTE_MS)[-limit:]
        if len(candles) < limit:
            return None
        names = ("open-time-ms", *FIELDS)
        return [float(candle[names.index(field)]) for field in fields for candle in candles]

    def average_price(self, symbol: str) -> float:
        last = self.seen(symbol)[-_AVERAGE_OF:]
        if not last:
            raise Retry(f"{symbol} has no candles yet", "not-enough-history")
        volume = sum(candle.volume for candle in last)
        if volume == 0:
            return sum(candle.close for candle in last) / len(last)
        return sum((candle.high + candle.low + candle.close) / 3 * candle.volume for candle in last) / volume

    def trades(self, count: int) -> list[Trade]:
        return self.closed[-_TRADES_KEPT:][-count:]

    def get(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def set(self, name: str, value: bytes) -> None:
        after = {**self.kept, name: value}
        size = sum(len(name.encode()) + _BYTES_OF_A_NAME + len(value) for name, value in after.items())
        if size > _MEMORY_BYTES:
            raise Retry(f"{size} bytes are too many to remember; at most {_MEMORY_BYTES}", "too-large")
        self.kept[name] = value

    def remove(self, name: str) -> None:
        self.kept.pop(name, None)


def _bars(minutes: Sequence[Candle], length_ms: int) -> list[Candle]:
    """Complete bars, aligned to the epoch."""
    bars = []
    count = length_ms // MINUTE_MS
    for first in range(len(minutes)):
        part = minutes[first : first + count]
        if minutes[first].open_time_ms % length_ms == 0 and len(part) == count:
            high, low = max(candle.high for candle in part), min(candle.low for candle in part)
            volume = sum(candle.volume for candle in part)
            bars.append(Candle(part[0].open_time_ms, part[0].open, high, low, part[-1].close, volume))
    return bars


def _minutes(interval: str) -> int:
    if interval not in INTERVALS:
        raise Retry(f"there is no interval {interval}; there are: {', '.join(INTERVALS)}", "unknown-interval")
    return INTERVALS[interval]


def _time(text: str) -> int:
    if text.isdigit():
        return int(text)
    time = datetime.fromisoformat(text)
    return round((time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp() * 1000)
