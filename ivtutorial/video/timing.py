"""Which frame is shown when: time stamps that can be used, and the frames nearest to wanted times."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice
from typing import Protocol, TypeVar

Stamp = Fraction | None


class Timed(Protocol):
    """A frame with `time`, seconds since the first one, and `length`, how long it lasts (0: it does not say)."""

    @property
    def time(self) -> Fraction:
        """Seconds since the first frame."""
        ...

    @property
    def length(self) -> Fraction:
        """Seconds, 0 if unknown."""
        ...


Frame = TypeVar("Frame", bound=Timed)


def rate(value: float) -> Fraction:
    """A number as a fraction: time stamps in files are fractions, and ties must not depend on rounding."""
    return Fraction(value).limit_denominator(1001)


def nearest(
    frames: Iterable[Frame], times: Sequence[Fraction], least: Fraction = Fraction(0)
) -> tuple[list[Frame], Fraction]:
    """Picks the frame nearest to each time (the earlier one at a tie) in one pass.

    The last frame lasts as long as the file says, at least as long as the one before it, and a time past its end
    has no frame. That end is shortened by a tenth of a frame, so that rounded time stamps do not add a frame to a
    clip that is one too short.

    Args:
        frames: in the order of presentation.
        times: wanted, ascending, seconds since the first frame.
        least: seconds that the video lasts at least.

    Returns:
        The picks, fewer than `times` if the video ends before, and the time where reading ended.
    """
    chosen: list[Frame] = []
    before: Frame | None = None
    period = Fraction(1, 25)
    for frame in frames:
        while len(chosen) < len(times) and times[len(chosen)] <= frame.time:
            wanted = times[len(chosen)]
            chosen.append(before if before and wanted - before.time <= frame.time - wanted else frame)
        if len(chosen) == len(times):
            return chosen, frame.time
        period = frame.time - before.time if before else frame.length or period
        before = frame
    if before is None:
        return [], Fraction(0)
    end = max(before.time + max(period, before.length), least)
    rest = islice(times, len(chosen), None)
    return chosen + [before for wanted in rest if wanted < end - period / 10], end


def rising(presented: Sequence[Stamp], coded: Sequence[Stamp], per_second: Fraction) -> tuple[list[Fraction], str]:
    """Rising times, one a frame, from stamps that may be missing or may not rise.

    Args:
        presented: presentation stamps in seconds, in the order of presentation.
        coded: decoding stamps of the same frames; H.264 in AVI has no others that are right.
        per_second: frames a second, to count by where neither can be used.

    Returns:
        The times, and what was guessed, in words: up to one bad stamp in eight lies between its neighbours, and
        with more of them all frames are counted.

    Example:
        >>> rising([Fraction(0), Fraction(2), Fraction(1)], [Fraction(5), Fraction(6), Fraction(7)], Fraction(1))
        ([Fraction(5, 1), Fraction(6, 1), Fraction(7, 1)], '')
    """
    for stamps in (presented, coded):
        good = _rising_part(stamps)
        if len(good) == len(stamps):
            return list(good.values()), ""
    good, count = _rising_part(presented), len(presented)
    bad = count - len(good)
    if not good or 8 * bad > count:
        note = f"no usable time stamps: frames are counted at {float(per_second):g} a second"
        return [index / per_second for index in range(count)], note
    known, times = list(good), []
    for index in range(count):
        after = bisect_right(known, index)
        a, b = known[max(0, after - 1)], known[min(after, len(known) - 1)]
        step = (good[b] - good[a]) / (b - a) if a < b else 1 / per_second
        times.append(good[a] + (index - a) * step)
    return times, f"{bad} of {count} time stamps do not rise: these frames lie between their neighbours"


def _rising_part(stamps: Sequence[Stamp]) -> dict[int, Fraction]:
    """A longest rising part of the stamps, by place: what remains is missing, or stands out forwards or backwards."""
    ends: list[int] = []  # ends[n]: place of the earliest stamp that can end a rising part of n + 1 stamps
    values: list[Fraction] = []
    before: dict[int, int] = {}
    for index, stamp in enumerate(stamps):
        if stamp is not None:
            length = bisect_left(values, stamp)
            before[index] = ends[length - 1] if length else -1
            ends[length : length + 1], values[length : length + 1] = [index], [stamp]
    part: list[int] = [ends[-1]] if ends else []
    while part and before[part[-1]] >= 0:
        part.append(before[part[-1]])
    return {index: Fraction(stamps[index] or 0) for index in reversed(part)}
