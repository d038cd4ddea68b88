"""Strategies. Nothing here imports the sandbox, so all of it runs and is tested in plain Python."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from math import inf
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from . import _settings

MINUTE_MS = 60_000
FIELDS = ("open", "high", "low", "close", "volume")


class Candle(NamedTuple):
    """One closed bar. Prices are in the quote currency, the volume is in the base currency."""

    open_time_ms: int
    """When it began, milliseconds since the Unix epoch."""
    open: float
    high: float
    low: float
    close: float
    volume: float


class Session(NamedTuple):
    """Who is trading what. It does not change in a run."""

    symbol: str
    """The symbol that is traded."""
    strategy: str
    """The name of the strategy in the operator's file. One plugin may serve several strategies."""
    exchange: str
    """The name of the exchange."""
    frame: str | None = None
    """The name of the period that is replayed; None if there is no period, or it has no name."""


class Trade(NamedTuple):
    """A position of this strategy that was opened and closed."""

    id: str
    position: Literal["long", "short"]
    opened_ms: int
    closed_ms: int
    """The opening time of the candle that closed it."""
    price_open: float
    price_close: float
    cost: float
    """What was invested, quote currency."""
    pnl_percentage: float
    """The result in percent of what was invested, after slippage and fees, times the leverage."""
    pnl_cost: float
    """The result in the quote currency."""
    reason: str
    """Why it was closed: "take_profit", "stop_loss", "time_expired", "liquidation", "closed". More may come."""


@dataclass(slots=True)
class Signal:
    """"Trade this." What is None is the operator's default. `long` and `short` make one."""

    position: Literal["long", "short"]
    take_profit: float
    """Closed when the average price reaches it."""
    stop_loss: float
    """Closed when a candle touches it."""
    limit: float | None = None
    """Enter only when a candle touches this price. None: now, at the average price."""
    minutes: float | None = None
    """Whole minutes until the position is closed as expired; infinity: never, where the operator allows that."""
    cost: float | None = None
    """Amount to invest, quote currency."""
    leverage: float | None = None
    isolated: bool | None = None
    """Whether the price at which everything invested is lost acts as a second stop."""
    note: str | None = None
    """A remark, kept in events."""
    id: str | None = None
    """A name of your own. The id that was opened last is not opened again."""


@dataclass(slots=True, frozen=True)
class Quiet:
    """A promise of silence. `quiet` makes one."""

    until_ms: int
    below: float = -inf
    above: float = inf


def long(
    *,
    take_profit: float,
    stop_loss: float,
    limit: float | None = None,
    minutes: float | None = None,
    cost: float | None = None,
    leverage: float | None = None,
    isolated: bool | None = None,
    note: str | None = None,
    id: str | None = None,
) -> Signal:
    """Buy: closed at the higher `take_profit`, at the lower `stop_loss`, or after `minutes`. See `Signal`."""
    return Signal("long", take_profit, stop_loss, limit, minutes, cost, leverage, isolated, note, id)


def short(
    *,
    take_profit: float,
    stop_loss: float,
    limit: float | None = None,
    minutes: float | None = None,
    cost: float | None = None,
    leverage: float | None = None,
    isolated: bool | None = None,
    note: str | None = None,
    id: str | None = None,
) -> Signal:
    """Sell: closed at the lower `take_profit`, at the higher `stop_loss`, or after `minutes`. See `Signal`."""
    return Signal("short", take_profit, stop_loss, limit, minutes, cost, leverage, isolated, note, id)


def quiet(until_ms: int, *, below: float = -inf, above: float = inf) -> Quiet:
    """No trade now, and none before `until_ms` while prices stay between `below` and `above`: the strategy need not be
    asked before, unless the price, the low or the high of a closed minute leaves this band.

    A promise costs only its author: a strategy that would have traded in that time is not asked, and does not trade.
    `sigbox backtest --check-promises` names promises that were wrong.
    """
    return Quiet(until_ms, below, above)


class Refuse(Exception):
    """No answer, now or ever. From `start` it keeps the run from starting, from `signal` it retires the strategy."""

    def __init__(self, message: str, code: str = "settings"):
        super().__init__(message)
        self.code = code


class Retry(Exception):
    """No answer this time. The strategy is asked again when it is due."""

    def __init__(self, message: str, code: str = "other"):
        super().__init__(message)
        self.code = code


class Host(Protocol):
    """What a tick asks: the sandbox, or `sigbox.testing`. None stands for "not enough history"."""

    def next_candles(self, after_ms: int, limit: int) -> list[float]: ...
    def columns(self, symbol: str, interval: str, fields: list[str], limit: int) -> list[float] | None: ...
    def average_price(self, symbol: str) -> float: ...
    def trades(self, count: int) -> list[Trade]: ...
    def get(self, name: str) -> bytes | None: ...
    def set(self, name: str, value: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


class Tick:
    """One question. The same object serves all questions: keep its numbers, not the object."""

    __slots__ = (
        *("when_ms", "price", "_host", "_symbol", "_fresh", "_end_ms", "_asked", "_most", "_columns", "_used"),
        *("_opens", "_highs", "_lows", "_closes", "_volumes"),
    )

    when_ms: int
    """The minute boundary that is decided, milliseconds since the Unix epoch."""
    price: float
    """Average price of the last closed candles."""

    def __init__(self, host: Host, symbol: str):
        self.when_ms, self.price = 0, 0.0
        self._host, self._symbol = host, symbol
        # The minutes of the symbol, a list for each field, oldest first. Only the fields that were asked for are kept.
        # Those reach up to this question if they are fresh, and up to `_end_ms` otherwise. Without one, nothing is fresh.
        self._columns: tuple[list[float], ...] = ([], [], [], [], [])
        self._opens, self._highs, self._lows, self._closes, self._volumes = self._columns
        self._used: list[tuple[list[float], int]] = []
        self._fresh, self._end_ms = False, 0
        # The longest window that was asked for, and the length from which on the oldest minutes are dropped.
        self._asked = self._most = 0

    @property
    def when(self) -> datetime:
        """The minute boundary that is decided, in UTC."""
        return datetime.fromtimestamp(self.when_ms / 1000, timezone.utc)

    def opens(self, count: int, interval: str | None = None, symbol: str | None = None) -> list[float] | None:
        """The last `count` opening prices, oldest first; None while the market is younger than that.

        Without `interval` these are minutes, without `symbol` they are of the symbol that is traded. Only its minutes
        are kept between questions. Everything else is fetched from the host each time.

        Raises `Retry` when the host has no such candles: a symbol or an interval that does not exist, or too many.
        """
        if interval or symbol:
            return self._ask(["open"], count, interval, symbol)
        if self._fresh and 0 < count <= len(self._opens) or self._reach(0, count):
            return self._opens[-count:]
        return None

    def highs(self, count: int, interval: str | None = None, symbol: str | None = None) -> list[float] | None:
        """The last `count` highest prices, as `opens`."""
        if interval or symbol:
            return self._ask(["high"], count, interval, symbol)
        if self._fresh and 0 < count <= len(self._highs) or self._reach(1, count):
            return self._highs[-count:]
        return None

    def lows(self, count: int, interval: str | None = None, symbol: str | None = None) -> list[float] | None:
        """The last `count` lowest prices, as `opens`."""
        if interval or symbol:
            return self._ask(["low"], count, interval, symbol)
        if self._fresh and 0 < count <= len(self._lows) or self._reach(2, count):
            return self._lows[-count:]
        return None

    def closes(self, count: int, interval: str | None = None, symbol: str | None = None) -> list[float] | None:
        """The last `count` closing prices, as `opens`."""
        if interval or symbol:
            return self._ask(["close"], count, interval, symbol)
        if self._fresh and 0 < count <= len(self._closes) or self._reach(3, count):
            return self._closes[-count:]
        return None

    def volumes(self, count: int, interval: str | None = None, symbol: str | None = None) -> list[float] | None:
        """The last `count` volumes, as `opens`."""
        if interval or symbol:
            return self._ask(["volume"], count, interval, symbol)
        if self._fresh and 0 < count <= len(self._volumes) or self._reach(4, count):
            return self._volumes[-count:]
        return None

    def candles(self, count: int, interval: str | None = None, symbol: str | None = None) -> list[Candle] | None:
        """The last `count` closed candles, as `opens`. A column costs less where one is enough."""
        if interval or symbol:
            numbers = self._ask(["open-time-ms", *FIELDS], count, interval, symbol)
            if numbers is None:
                return None
            opened, *rest = (numbers[field * count : (field + 1) * count] for field in range(6))
            return [Candle(int(time), *row) for time, *row in zip(opened, *rest)]
        for field in range(5):
            if not self._reach(field, count):
                return None
        times = range(self.when_ms - count * MINUTE_MS, self.when_ms, MINUTE_MS)
        return [Candle(*row) for row in zip(times, *(column[-count:] for column in self._columns))]

    def average_price(self, symbol: str) -> float:
        """The average price of the last closed candles of any symbol. That of this one is `price`.

        Raises `Retry` when there is no such symbol, or it has no candles yet.
        """
        return self._host.average_price(_text(symbol, "a symbol"))

    def trades(self, count: int) -> list[Trade]:
        """At most the last `count` trades of this strategy on this symbol, oldest first. The host keeps the last 32,
        also across a restart."""
        return self._host.trades(_count(count))

    def remembered(self, name: str, default: Any = None) -> Any:
        """What was kept under `name`, or `default`. It outlives this object of your strategy: a fresh one after a crash
        or a restart finds what the last question left. A backtest begins with nothing."""
        value = self._host.get(_text(name, "a name"))
        if value is None:
            return default
        try:
            return json.loads(value)
        except ValueError as error:
            raise Retry(f"what is kept under {name!r} cannot be read: {error}", "memory") from None

    def remember(self, name: str, value: Any) -> None:
        """Keeps `value` under `name`: whatever JSON can say.

        Raises `TypeError` for anything else, and `Retry` when it does not fit: all names and values together may have
        16 KiB.
        """
        self._host.set(_text(name, "a name"), json.dumps(value).encode())

    def forget(self, name: str) -> None:
        """Removes what is kept under `name`, if anything is."""
        self._host.remove(_text(name, "a name"))

    def _ask(self, fields: list[str], count: int, interval: str | None, symbol: str | None) -> list[float] | None:
        interval, symbol = interval or "1m", symbol or self._symbol
        return self._host.columns(_text(symbol, "a symbol"), _text(interval, "an interval"), fields, _count(count))

    def _reach(self, field: int, count: int) -> bool:
        """Makes the column of a field reach up to the question, with at least `count` minutes. Only what is missing is
        fetched. False: there are not so many."""
        column = self._columns[field]
        if _count(count) > self._asked:
            self._asked, self._most = count, 4 * max(count, 64)
        if not self._fresh:
            self._catch_up(count)
        if len(column) >= count:
            return True
        numbers = self._host.columns(self._symbol, "1m", [FIELDS[field]], count)
        if numbers is None:
            return False
        if all(field != known for _, known in self._used):
            self._used.append((column, field))
        column[:] = numbers
        self._fresh = True
        return True

    def _catch_up(self, count: int) -> None:
        """Appends the minutes that were not asked about to every column, or empties them where that is not worth it."""
        missing = (self.when_ms - self._end_ms) // MINUTE_MS
        after_ms = self.when_ms - (missing + 1) * MINUTE_MS
        numbers = self._host.next_candles(after_ms, missing) if self._used and 0 < missing <= count else []
        for column, field in self._used:
            column += numbers[field::5]
            if len(numbers) != 5 * missing:
                column.clear()
        self._fresh = bool(self._used)
        self._trim()

    def _trim(self) -> None:
        """Drops the oldest minutes, many at once."""
        for column, _ in self._used:
            if len(column) > self._most:
                del column[: -self._asked]


def asking(
    signal: Callable[[Tick], object],
    tick: Tick,
    answer: Callable[[object], None],
    fail: Callable[[BaseException], None],
) -> Callable[..., None]:
    """get-signal of a strategy: a function of the time, the price, and the five numbers of the minute that has closed.

    What is done here is done for each question, so there is little of it.
    """
    used = tick._used
    next_ms = 0

    def get_signal(when_ms: int, price: float, *candle: float) -> None:
        nonlocal next_ms
        try:
            if tick._fresh:
                if when_ms == next_ms:
                    for column, field in used:
                        column.append(candle[field])
                    if len(column) > tick._most:
                        tick._trim()
                else:
                    tick._fresh = False
                    tick._end_ms = next_ms - MINUTE_MS
            next_ms = when_ms + MINUTE_MS
            tick.when_ms = when_ms
            tick.price = price
            said = signal(tick)
            if said is not None:
                answer(said)
        except BaseException as error:
            fail(error)

    return get_signal


class Strategy:
    """A strategy on one symbol.

    The class says how it is called and how often it wants to be asked: `class Dip(Strategy, interval="5m")`. Without a
    `name` it is that of the class in kebab-case. The interval is "1m", "3m", "5m", "15m", "30m" or "1h"; the operator
    may set another one.

    Annotated attributes are its settings: `fast_period: int = 20` is `fast-period` in the operator's file. Types are
    int, float, bool, str, list[...] of these, Literal[...], and any of these | None. A setting without a default must
    be set. What is not a setting begins with an underscore, or has no annotation.
    """

    name: ClassVar[str] = ""
    version: ClassVar[str] = "0.1.0"
    interval: ClassVar[str] = "1m"
    settings: ClassVar[dict[str, _settings.Setting]] = {}
    session: Session
    """Who is trading what; known from `start` on."""

    def __init_subclass__(
        cls, *, name: str | None = None, version: str | None = None, interval: str | None = None, **more: Any
    ):
        super().__init_subclass__(**more)
        cls.name = name or _kebab(cls.__name__)
        cls.version = version or cls.version
        cls.interval = interval or cls.interval
        merged: dict[str, _settings.Setting] = {}
        for base in reversed(cls.__mro__[1:]):
            merged |= base.__dict__.get("settings", {})
        cls.settings = merged | _settings.declared(cls, dir(Strategy))

    def __init__(self, /, **settings: Any):
        """Settings by attribute name, as tests write them, or by the name in the operator's file.

        Raises `Refuse` for a setting that does not exist, has another type, or is missing.
        """
        try:
            values = _settings.given(self.settings, {name.replace("_", "-"): v for name, v in settings.items()})
        except ValueError as error:
            raise Refuse(str(error)) from None
        for attribute, value in values.items():
            setattr(self, attribute, value)

    def start(self) -> None:
        """Called once, before the first question. Raise `Refuse` to keep the run from starting."""

    def signal(self, tick: Tick) -> Signal | Quiet | None:
        """Whether to trade now. Called at each due time while nothing is held and no order waits.

        What must not be forgotten has to follow from the candles, or be kept with `tick.remember`: after a crash or a
        restart another object answers.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method signal(self, tick)")

    @classmethod
    def schema(cls) -> str:
        """JSON Schema of the settings."""
        return _settings.schema(cls.settings)


def checked(said: object) -> Signal | Quiet | None:
    """What a strategy said, if it can be passed on. Numbers are floats afterwards.

    Raises `TypeError` or `ValueError` in the author's words otherwise.
    """
    if isinstance(said, Signal):
        if said.position not in ("long", "short"):
            raise ValueError(f'position must be "long" or "short"; found {said.position!r}')
        return Signal(
            said.position,
            _number("take_profit", said.take_profit),
            _number("stop_loss", said.stop_loss),
            _optional("limit", said.limit),
            _optional("minutes", said.minutes),
            _optional("cost", said.cost),
            _optional("leverage", said.leverage),
            None if said.isolated is None else _flag("isolated", said.isolated),
            None if said.note is None else _text(said.note, "note"),
            None if said.id is None else _text(said.id, "id"),
        )
    if isinstance(said, Quiet):
        if type(said.until_ms) is not int or not 0 <= said.until_ms < 1 << 64:
            raise TypeError(f"until_ms must be a whole number of milliseconds; found {said.until_ms!r}")
        return Quiet(said.until_ms, _number("below", said.below), _number("above", said.above))
    if said is None:
        return None
    raise TypeError(f"signal() must return what long(...), short(...) or quiet(...) make, or None; it returned {said!r}")


def _optional(name: str, value: Any) -> float | None:
    return None if value is None else _number(name, value)


def _number(name: str, value: Any) -> float:
    # Numbers of other libraries, such as Decimal and Fraction, know how to become a float.
    if isinstance(value, (bool, str, bytes)) or not hasattr(type(value), "__float__"):
        raise TypeError(f"{name} must be a number; found {value!r}")
    return float(value)


def _flag(name: str, value: Any) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{name} must be True, False or None; found {value!r}")
    return value


def _text(value: Any, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a text; found {value!r}")
    value.encode()  # A lone surrogate is no text for anyone else.
    return str(value)


def _count(count: Any) -> int:
    if type(count) is not int:
        raise TypeError(f"a count must be a whole number; found {count!r}")
    if not 0 < count < 1 << 32:
        raise ValueError(f"a count must be at least 1, and less than 4,294,967,296; found {count}")
    return count


def _kebab(name: str) -> str:
    words = ""
    for i, letter in enumerate(name):
        before, after = name[i - 1 : i], name[i + 1 : i + 2]
        if letter.isupper() and before.isalnum() and (not before.isupper() or after.islower()):
            words += "-"
        words += letter.lower()
    return words.replace("_", "-")
