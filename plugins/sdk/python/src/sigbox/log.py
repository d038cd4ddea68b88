"""Lines for the operator. Outside the sandbox they go to standard error.

`print` and the standard module `logging` also reach the operator. A line that is below the operator's level, or that
comes too fast after others, is dropped. Nothing here can change a trade.
"""

from __future__ import annotations

import sys
from typing import Callable


def _to_standard_error(level: str, target: str, message: str) -> None:
    sys.stderr.write(f"{level}: {target + ': ' if target else ''}{message}\n")


_write: Callable[[str, str, str], None] = _to_standard_error


def trace(message: object) -> None:
    """The finest level."""
    _write("trace", "", str(message))


def debug(message: object) -> None:
    """For the author."""
    _write("debug", "", str(message))


def info(message: object) -> None:
    """Worth knowing."""
    _write("info", "", str(message))


def warn(message: object) -> None:
    """Worth a look."""
    _write("warn", "", str(message))


def error(message: object) -> None:
    """Something failed."""
    _write("error", "", str(message))
