"""The component that runs a backend's text."""

from functools import partial

import sigbox._library_backend  # noqa: F401
from sigbox._guest_backend import exports
from sigbox.persistence import Backend as _Base
from sigbox_text import forget_the_disk, load

forget_the_disk()
Store = exports(partial(load, _Base))
