"""The exports of a strategy's component."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from componentize_py_types import Err
from wit_world.exports import strategy as wit
from wit_world.imports import answer, market, memory, session, trades

from . import _guest
from ._strategy import Quiet, Refuse, Retry, Session, Strategy, Tick, Trade, asking, checked

_POSITIONS = {"long": answer.Position.LONG, "short": answer.Position.SHORT}
_NAMES = {trades.Position.LONG: "long", trades.Position.SHORT: "short"}


class _Host:
    """What a tick asks."""

    next_candles = staticmethod(market.next_candles)
    get = staticmethod(memory.get)
    remove = staticmethod(memory.remove)

    @staticmethod
    def columns(symbol: str, interval: str, fields: list[str], limit: int) -> list[float] | None:
        try:
            return market.columns(symbol, interval, fields, limit)
        except Err as error:
            if error.value.code == "not-enough-history":
                return None
            raise Retry(error.value.message, error.value.code) from None

    @staticmethod
    def average_price(symbol: str) -> float:
        try:
            return market.average_price(symbol)
        except Err as error:
            raise Retry(error.value.message, error.value.code) from None

    @staticmethod
    def trades(count: int) -> list[Trade]:
        return [
            Trade(
                t.id,
                _NAMES[t.position],  # type: ignore[arg-type]
                t.opened_ms,
                t.closed_ms,
                t.price_open,
                t.price_close,
                t.cost,
                t.pnl_percentage,
                t.pnl_cost,
                t.reason,
            )
            for t in trades.last(count)
        ]

    @staticmethod
    def set(name: str, value: bytes) -> None:
        try:
            memory.set(name, value)
        except Err as error:
            raise Retry(error.value.message, error.value.code) from None


def built(module: ModuleType) -> Callable[[], Any]:
    """The exports of a component that was built from the author's module."""
    author = _guest.the_class(module, Strategy)
    _guest.show_lines_of_modules()
    return exports(lambda: author)


def exports(load: Callable[[], type[Strategy]]) -> Callable[[], Any]:
    """What componentize-py looks for in the world's module as `Strategy`. `load` finds the author's class.

    componentize-py calls it once for each exported function. All get the same object, so that they share its state.
    Functions of the object are found faster than methods of a class.
    """
    guest = SimpleNamespace()
    loaded: list[type[Strategy] | BaseException] = []

    def describe() -> wit.Descriptor:
        # There is no failure here. What went wrong is told at the start, which follows.
        _guest.redirect()
        try:
            author = load()
            loaded.append(author)
            return wit.Descriptor(author.name, author.version, author.interval, author.schema(), [], None)
        except BaseException as error:
            loaded[:] = [error]
            return wit.Descriptor("python", "0.0.0", "1m", None, [], None)

    def start() -> None:
        try:
            (author,) = loaded
            if isinstance(author, BaseException):
                raise author
            strategy = author(**json.loads(session.settings()))
            symbol = session.symbol()
            strategy.session = Session(symbol, session.strategy(), session.exchange(), session.frame())
            strategy.start()
            guest.get_signal = asking(strategy.signal, Tick(_Host(), symbol), _answer, _fail)
        except (Refuse, Retry) as error:
            raise Err(wit.Failure(_code(error), _guest.plain(str(error)), isinstance(error, Retry), None)) from None
        except BaseException as error:
            raise Err(wit.Failure("exception", _guest.told(error), False, None)) from None

    def too_early(*_: float) -> None:
        answer.fail("order", "get-signal was called before start", False)

    guest.describe, guest.start, guest.get_signal = describe, start, too_early
    _guest.snapshot()
    return lambda: guest


def _answer(said: object) -> None:
    said = checked(said)
    if isinstance(said, Quiet):
        answer.quiet(said.until_ms, said.below, said.above)
    elif said is not None:
        answer.trade(
            answer.Signal(
                id=said.id,
                symbol=None,
                position=_POSITIONS[said.position],
                price_open=said.limit,
                price_take_profit=said.take_profit,
                price_stop_loss=said.stop_loss,
                minute_estimated_time=said.minutes,
                cost=said.cost,
                multiplier=said.leverage,
                isolated=said.isolated,
                note=said.note,
                extra=None,
            )
        )


def _fail(error: BaseException) -> None:
    if isinstance(error, (Refuse, Retry)):
        answer.fail(_code(error), _guest.plain(str(error)), isinstance(error, Retry))
    else:
        answer.fail("exception", _guest.told(error), True)


def _code(error: Refuse | Retry) -> str:
    return _guest.plain(str(error.code))
