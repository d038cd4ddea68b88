"""Write persistence backends in Python.

    from sigbox.persistence import Address, Backend, setting

    class Files(Backend, summary="files in /data"):
        def read(self, at: Address) -> bytes | None: ...
        def write(self, at: Address, value: bytes, when_ms: int) -> None: ...
        def remove(self, at: Address) -> bool: ...
        def ids(self, domain: str, entity_name: str) -> list[str]: ...

An `OSError` means "unavailable, try again". A `Failure` means what it says. Anything else is a failure with its
traceback. The host repeats failed calls, so a backend does not.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, NamedTuple

from ._strategy import _kebab

__all__ = ["Address", "Backend", "Failure", "refuse_unknown_settings", "secret", "setting", "settings"]


class Address(NamedTuple):
    """Where a document lives. The three parts together are its identity. Each can be any text: escape them as your
    storage needs, and never refuse or cut one."""

    domain: str
    entity_name: str
    entity_id: str


class Failure(Exception):
    """Why a call did not do what it should. `code` is "unavailable", "denied", "corrupt", "conflict", "too-large",
    "unsupported", "other", or one that comes later. `retryable`: the same call may succeed later, after
    `retry_after_ms` where given. Never put a secret into the message."""

    def __init__(self, code: str, message: str, *, retryable: bool = False, retry_after_ms: int | None = None):
        super().__init__(message)
        self.code, self.retryable, self.retry_after_ms = code, retryable, retry_after_ms


class Backend:
    """A place for documents. One object serves a binding until it breaks down; then another takes its place.

    `summary` is one line without secrets that says where the documents are. Define a property of that name where
    settings are needed for it. `features` may have "volatile": the documents go with the object that wrote them. Writes
    of more than `max_value_bytes` are refused before they get here.
    """

    name: ClassVar[str] = ""
    version: ClassVar[str] = "0.1.0"
    summary: str
    features: ClassVar[list[str]] = []
    max_value_bytes: ClassVar[int] = 4 << 20

    def __init_subclass__(
        cls,
        *,
        summary: str | None = None,
        name: str | None = None,
        version: str | None = None,
        features: Iterable[str] | None = None,
        max_value_bytes: int | None = None,
        **more: Any,
    ):
        super().__init_subclass__(**more)
        cls.name = name or _kebab(cls.__name__)
        cls.version = version or cls.version
        cls.features = cls.features if features is None else list(features)
        cls.max_value_bytes = max_value_bytes or cls.max_value_bytes
        if summary is not None:
            cls.summary = summary
        elif not hasattr(cls, "summary"):
            raise TypeError(f'{cls.__name__} does not say where its documents are: class {cls.__name__}(Backend, summary="…")')

    def start(self) -> None:
        """Called once: connect and prepare. Settings and secrets come from `setting` and `secret`."""

    def prepare(self, domain: str, entity_name: str, initial: bool) -> None:
        """Called once for each entity and object, before its first use. Must be safe to repeat. `initial`: this host
        never used the entity before."""

    def read(self, at: Address) -> bytes | None:
        """The document. None: nobody ever wrote it, or it was removed. A refused connection, a timeout or an unreadable
        document is an exception, never None: the engine would take it for "holds nothing", and might trade."""
        raise NotImplementedError(f"{type(self).__name__} has no method read(self, at)")

    def has(self, at: Address) -> bool:
        """Whether a document is there."""
        return self.read(at) is not None

    def write(self, at: Address, value: bytes, when_ms: int) -> None:
        """Replaces the document, all or nothing. On return it survives a crash. `when_ms` is the time of the change, for
        storages with a history; it is no part of the document."""
        raise NotImplementedError(f"{type(self).__name__} has no method write(self, at, value, when_ms)")

    def remove(self, at: Address) -> bool:
        """Removes the document. False: there was none."""
        raise NotImplementedError(f"{type(self).__name__} has no method remove(self, at)")

    def ids(self, domain: str, entity_name: str) -> Iterable[str]:
        """All ids under an entity name, in any order."""
        raise NotImplementedError(f"{type(self).__name__} has no method ids(self, domain, entity_name)")

    def keys(self, domain: str, entity_name: str, cursor: str | None, limit: int) -> tuple[list[str], str | None]:
        """At most `limit` ids after `cursor`, ascending by bytes, each once; and where to go on, None: nowhere. Override
        it where the storage can page by itself."""
        ids = sorted(self.ids(domain, entity_name), key=str.encode)
        first = bisect_right(ids, cursor.encode(), key=str.encode) if cursor is not None else 0
        page = ids[first : first + limit]
        return page, page[-1] if page and first + limit < len(ids) else None

    def close(self) -> None:
        """The last call. After a crash it is not made."""


def setting(name: str, default: str | None = None) -> str | None:
    """What the operator set as `name`, as text; `default` if nothing."""
    found = _get(name)
    return default if found is None else found


def settings() -> dict[str, str]:
    """Everything that the operator set, by name."""
    return dict(_all())


def secret(name: str) -> str | None:
    """A secret that the operator granted; None: there is none, or it was not granted."""
    return _secret(name)


def refuse_unknown_settings(*known: str) -> None:
    """Call it in `start`. A setting that does not exist would do nothing, and nobody would notice.

    Raises `Failure` for the first one that is not `known`.
    """
    for name in settings():
        if name not in known:
            raise Failure("other", f"there is no setting {name}; there are: {', '.join(known)}")


# What the sandbox puts in its place. A test puts its own there: `monkeypatch.setattr(persistence, "_get", {...}.get)`.
_get: Callable[[str], str | None] = lambda name: None
_all: Callable[[], Iterable[tuple[str, str]]] = lambda: ()
_secret: Callable[[str], str | None] = lambda name: None
