"""What both kinds of plugins need inside the sandbox: lines for the operator, errors as text, and the author's class."""

from __future__ import annotations

import gc
import io
import linecache
import logging as _logging
import os
import re
import sys
import traceback
from types import ModuleType

from wit_world.imports import logging as _host

from . import log

# Where frames are that no author cares about.
OURS = [os.path.dirname(__file__) + "/", "<frozen importlib"]
_MOUNT = re.compile(r"^/(python|world|bundled|\d+)/")

# sigbox cuts a text after 2,048 bytes, and the end of a traceback matters most. A recursion has a thousand frames.
_HEAD_BYTES, _TAIL_BYTES, _FRAMES = 300, 1500, 20

_LEVELS = {level: getattr(_host.Level, level.upper()) for level in ("trace", "debug", "info", "warn", "error")}


def plain(text: str) -> str:
    """`text` without what cannot leave the sandbox: half of a character that has two halves."""
    return text.encode("utf-8", "replace").decode()


def _to_host(level: str, target: str, message: str) -> None:
    _host.log(_LEVELS[level], target, plain(message))


class _Printed(io.TextIOBase):
    """What is printed, as lines for the operator."""

    encoding = "utf-8"

    def __init__(self, level: str):
        self.level, self.rest = level, ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self.rest = (self.rest + text).split("\n")
        for line in lines:
            _to_host(self.level, "print", line)
        return len(text)

    def flush(self) -> None:
        if self.rest:
            self.write("\n")


class _Handler(_logging.Handler):
    """The standard module `logging`, as lines for the operator."""

    def emit(self, record: _logging.LogRecord) -> None:
        n = record.levelno
        level = "error" if n >= 40 else "warn" if n >= 30 else "info" if n >= 20 else "debug" if n >= 10 else "trace"
        _to_host(level, record.name, self.format(record))


def snapshot() -> None:
    """The last step of a build: everything that is set up here is in the component, and costs nothing at the start."""
    log._write = _to_host
    root = _logging.getLogger()
    root.handlers[:] = [_Handler()]
    root.setLevel(_logging.DEBUG)
    # A recursion through C, such as that of `__eq__`, has to end in an exception before the stack of the sandbox does.
    sys.setrecursionlimit(250)
    # Garbage that is collected here is in no component, and what is frozen is never looked at again.
    gc.collect()
    gc.freeze()


def redirect() -> None:
    """From now on, what is printed goes to the operator."""
    sys.stdout, sys.stderr = _Printed("info"), _Printed("warn")


def show_lines_of(path: str, text: str) -> None:
    """Makes tracebacks show the lines of a file that is not there."""
    # Without a time of change, `linecache` does not look for the file.
    linecache.cache[path] = (len(text), None, text.splitlines(True), path)


def show_lines_of_modules() -> None:
    """The same for every module of the author that was imported when the component was built."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and re.match(r"^/\d+/", path) and not path.startswith(OURS[0]):
            show_lines_of(path, "".join(linecache.getlines(path)))


def told(error: BaseException) -> str:
    """An error of the author as text: its traceback, without the frames that are not the author's business."""
    try:
        if isinstance(sys.stdout, _Printed):
            sys.stdout.flush()
            sys.stderr.flush()
        trace = traceback.TracebackException.from_exception(error, compact=True, limit=-_FRAMES)
        _tidy(trace)
        # Without a frame, there is no traceback to show: the author's answer is wrong, and its text says why.
        whole = trace.stack or trace.__cause__ or trace.__context__
        text = plain("".join(trace.format() if whole else trace.format_exception_only())).strip()
    except BaseException as second:  # An error that cannot be shown, or no memory to show it.
        return f"{type(error).__name__}, which cannot be shown because of {type(second).__name__}"
    raw = text.encode()
    if len(raw) <= _HEAD_BYTES + _TAIL_BYTES:
        return text
    return f"{raw[:_HEAD_BYTES].decode(errors='ignore')} …\n… {raw[-_TAIL_BYTES:].decode(errors='ignore')}"


def _tidy(trace: traceback.TracebackException | None) -> None:
    if trace is None:
        return
    theirs = [frame for frame in trace.stack if not frame.filename.startswith(tuple(OURS))]
    for frame in theirs:
        frame.filename = _MOUNT.sub("", frame.filename)
    trace.stack = traceback.StackSummary.from_list(theirs)
    if getattr(trace, "filename", None):
        trace.filename = _MOUNT.sub("", trace.filename)
    _tidy(trace.__cause__)
    _tidy(trace.__context__)
    for one in trace.exceptions or ():
        _tidy(one)


def the_class(module: ModuleType, base: type) -> type:
    """The one class in a module that derives from `base`.

    Raises `ImportError` when there is none, or more than one. A class that another one derives from does not count, and
    an imported one counts only where the module defines none.
    """
    found = {v for v in vars(module).values() if isinstance(v, type) and issubclass(v, base) and v is not base}
    found = {one for one in found if one.__module__ == module.__name__} or found
    found = {one for one in found if not any(one is not other and issubclass(other, one) for other in found)}
    if len(found) != 1:
        have = "no class does" if not found else "these do: " + ", ".join(sorted(one.__name__ for one in found))
        path = os.path.basename(module.__file__ or module.__name__)
        raise ImportError(f"one class of {path} must derive from {base.__module__.split('._')[0]}.{base.__name__}; {have}")
    return found.pop()
