"""Libraries that say more than a reader needs."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_warnings() -> Iterator[None]:
    """Hold back what libraries log up to the level of warnings.

    open_clip, for one, warns that a model has random weights; here they are read right afterwards, and checked.
    """
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
