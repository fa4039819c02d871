"""Ctrl-C and SIGTERM in the middle of training: finish the step, write a checkpoint, then end.

The first signal is only noted, and the training loop checks for it between two steps; so a notebook's stop button, a
cluster that takes the machine back, or Ctrl-C at a terminal cost no step. A second one ends at once.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def noting_signals() -> Iterator[Callable[[], bool]]:
    """Note SIGINT and SIGTERM instead of ending; yields the question whether one came.

    Outside the main thread, where Python allows no signal handlers, the answer is always no.

    Raises:
        KeyboardInterrupt: at the second signal.

    Example:
        >>> with noting_signals() as stop_requested:
        ...     stop_requested()
        False
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(noted)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
