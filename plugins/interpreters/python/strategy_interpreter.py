"""The component that runs a strategy's text."""

from functools import partial

import sigbox._library_strategy  # noqa: F401
import sigbox.testing  # noqa: F401  A file with tests beside the strategy in it may import it.
from sigbox import Strategy as _Base
from sigbox._guest_strategy import exports
from sigbox_text import forget_the_disk, load

forget_the_disk()
Strategy = exports(partial(load, _Base))
