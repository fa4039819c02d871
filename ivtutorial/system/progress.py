"""Progress bars for work that several processes share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(total: int, show: bool, title: str = "clips") -> Iterator[Callable[[int], None]]:
    """A progress bar; yields the function that moves it on by a number of items."""
    from tqdm.auto import tqdm

    with tqdm(total=total, desc=title, disable=not show) as progress:
        # Shares differ by one item, so counting all of them times the number of processes may overshoot at the end.
        yield lambda count: progress.update(min(count, progress.total - progress.n))
