"""The exports of a backend's component."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

from componentize_py_types import Err
from wit_world.exports import store as wit
from wit_world.imports import config, secrets

from . import _guest, persistence
from .persistence import Address, Backend, Failure


def built(module: ModuleType) -> Callable[[], Any]:
    """The exports of a component that was built from the author's module."""
    author = _guest.the_class(module, Backend)
    _guest.show_lines_of_modules()
    return exports(lambda: author)


def exports(load: Callable[[], type[Backend]]) -> Callable[[], Any]:
    """What componentize-py looks for in the world's module as `Store`. `load` finds the author's class.

    componentize-py calls it once for each exported function. All get the same object, so that they share its state.
    """
    found: list[Backend | BaseException] = []

    def author() -> Backend:
        (one,) = found
        if isinstance(one, BaseException):
            raise one
        return one

    def describe() -> wit.Descriptor:
        # There is no failure here. What went wrong is told at the start, which follows.
        _guest.redirect()
        try:
            one = load()()
            found[:] = [one]
            name, version, summary = (_text(getattr(one, what), what) for what in ("name", "version", "summary"))
            most = one.max_value_bytes
            if type(most) is not int or not 0 < most < 1 << 64:
                raise TypeError(f"max_value_bytes must be a whole number of bytes; found {most!r}")
            return wit.Descriptor(name, version, summary, [_text(f, "a feature") for f in one.features], most, None)
        except BaseException as error:
            found[:] = [error]
            return wit.Descriptor("python", "0.0.0", "a backend in Python that did not load", [], 1, None)

    guest = SimpleNamespace(
        describe=describe,
        start=_told(lambda: author().start()),
        wait_for_init=_told(lambda domain, entity_name, initial: author().prepare(domain, entity_name, initial)),
        read_value=_told(lambda at: _document(author().read(_at(at)))),
        has_value=_told(lambda at: _flag(author().has(_at(at)), "has")),
        write_value=_told(lambda at, value, when_ms: author().write(_at(at), value, when_ms)),
        remove_value=_told(lambda at: _flag(author().remove(_at(at)), "remove")),
        keys=_told(lambda *asked: _page(author().keys(*asked))),
        close=_told(lambda: author().close()),
    )
    persistence._get, persistence._all, persistence._secret = config.get, config.all, secrets.get
    _guest.snapshot()
    return lambda: guest


def _told(call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, where what it raises is a failure of the contract. Any other exception would end the instance."""

    def answered(*given: Any) -> Any:
        try:
            return call(*given)
        except Failure as error:
            after_ms = error.retry_after_ms
            after_ms = after_ms if type(after_ms) is int and 0 <= after_ms < 1 << 32 else None
            code, retryable = _guest.plain(str(error.code)), bool(error.retryable)
            raise Err(wit.Failure(code, _guest.plain(str(error)), retryable, after_ms, None)) from None
        except PermissionError as error:
            raise Err(wit.Failure("denied", _guest.plain(str(error)), False, None, None)) from None
        except OSError as error:
            text = _guest.plain(f"{type(error).__name__}: {error}")
            raise Err(wit.Failure("unavailable", text, True, None, None)) from None
        except BaseException as error:
            raise Err(wit.Failure("other", _guest.told(error), False, None, None)) from None

    return answered


def _at(at: Any) -> Address:
    return Address(at.domain, at.entity_name, at.entity_id)


def _document(value: object) -> bytes | None:
    if value is None or type(value) is bytes:
        return value
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    raise TypeError(f"read() must return bytes or None; it returned {type(value).__name__}")


def _flag(value: object, method: str) -> bool:
    if type(value) is not bool:
        raise TypeError(f"{method}() must return True or False; it returned {value!r}")
    return value


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{what} must be a text; found {value!r}")
    value.encode()
    return str(value)


def _page(page: Any) -> wit.Page:
    ids, cursor = page
    return wit.Page([_text(one, "an id") for one in ids], None if cursor is None else _text(cursor, "a cursor"))
