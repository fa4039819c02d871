"""A curve of training as SVG, drawn without a plotting library so that it takes the colours of the page it is
in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

Points = Sequence[tuple[float, float]]
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 40  # room for the axes


def running_mean(values: Sequence[float], width: int) -> list[float]:
    """Mean over a window of `width` values centred on each; shorter at the ends.

    Example:
        >>> running_mean([1.0, 2.0, 6.0], 3)
        [1.5, 3.0, 4.0]
    """
    half = width // 2
    return [float(np.mean(values[max(0, i - half) : i + half + 1])) for i in range(len(values))]


def round_ticks(low: float, high: float, least: float = 0.0) -> list[tuple[float, str]]:
    """Round numbers of an axis with their texts, at most six.

    Args:
        low: end of the axis. high: the other end, above it.
        least: how far apart they must be.

    Example:
        >>> [text for _, text in round_ticks(0.298, 0.421)]
        ['0.30', '0.35', '0.40']
        >>> [text for _, text in round_ticks(0, 15, least=1)]
        ['0', '5', '10', '15']
    """
    power = math.floor(math.log10(max((high - low) / 5, least)))
    unit = next(k for k in (1, 2, 5, 10) if k * 10.0**power >= max((high - low) / 5 * (1 - 1e-9), least))
    step, digits = unit * 10.0**power, max(0, -power - (unit == 10))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(k * step, f"{k * step:.{digits}f}") for k in range(first, last + 1)]


def svg_curve(
    points: Points, marks: Points = (), width: int = 640, height: int = 280, window: int | None = None
) -> str:
    """Dots for the steps with their running mean, and a line through `marks`.

    Args:
        points: (step, reward) of the training steps, ordered.
        marks: (step, reward) of something measured now and then; may be empty.
        width: in the drawing's own units; the page scales it.
        height: the same.
        window: steps of a running mean, 1 for a line through the dots; None takes a twelfth of them, at least 3.

    Returns:
        An `<svg>` element with a description in words, or a paragraph if there are fewer than two points.
        Rewards that are not finite are left out.
    """
    points, marks = ([(float(x), float(y)) for x, y in series if math.isfinite(y)] for series in (points, marks))
    if len(points) < 2:
        return "<p>There are too few steps to draw a curve.</p>"
    every = [*points, *marks]
    x_low, x_high = min(x for x, _ in every), max(x for x, _ in every)
    y_low, y_high = _margin(min(y for _, y in every), max(y for _, y in every))

    def across(x: float) -> float:
        return _LEFT + (x - x_low) / (x_high - x_low) * (width - _LEFT - _RIGHT)

    def up(y: float) -> float:
        return height - _BOTTOM - (y - y_low) / (y_high - y_low) * (height - _TOP - _BOTTOM)

    smooth = running_mean([y for _, y in points], window or max(3, len(points) // 12))
    mean = [(x, y) for (x, _), y in zip(points, smooth, strict=True)]
    middle = (width + _LEFT - _RIGHT) / 2
    return (
        f'<svg class="curve" viewBox="0 0 {width} {height}" role="img" aria-label="{_describe(mean, marks)}">'
        + _grid(across, up, (x_low, x_high), (y_low, y_high), width - _RIGHT, height - _BOTTOM)
        + f'<text x="{middle}" y="{height - 6}" text-anchor="middle">training step</text>'
        + f'<text transform="translate(10 {(height - _BOTTOM + _TOP) / 2}) rotate(-90)" text-anchor="middle">'
        + "reward</text>"
        + f"<g>{_dots(points, across, up, 2)}{_line(mean, across, up)}</g>"
        + f'<g class="marks">{_line(marks, across, up)}{_dots(marks, across, up, 4)}</g></svg>'
    )


def _describe(mean: Points, marks: Points) -> str:
    last = mean[-1][0]
    first, end = mean[0][1], mean[-1][1]
    text = f"Reward of edited training clips: {first:.3f} at first, {end:.3f} after {last:.0f} steps."
    if len(marks) > 1:
        text += f" Samples for fixed prompts: {marks[0][1]:.3f} at first, {marks[-1][1]:.3f} at the end."
    return text


def _grid(
    across: Callable[[float], float],
    up: Callable[[float], float],
    x_range: tuple[float, float],
    y_range: tuple[float, float],
    right: float,
    bottom: float,
) -> str:
    lines = "".join(
        f'<path class="grid" d="M{_LEFT} {up(v):.1f}H{right}"/>'
        f'<text x="{_LEFT - 6}" y="{up(v) + 4:.1f}" text-anchor="end">{text}</text>'
        for v, text in round_ticks(*y_range)
    )
    steps = "".join(
        f'<text x="{across(v):.1f}" y="{bottom + 16}" text-anchor="middle">{text}</text>'
        for v, text in round_ticks(*x_range, least=1)
    )
    return lines + steps


def _dots(points: Points, across: Callable[[float], float], up: Callable[[float], float], radius: float) -> str:
    return "".join(f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="{radius}"/>' for x, y in points)


def _line(points: Points, across: Callable[[float], float], up: Callable[[float], float]) -> str:
    return f'<polyline points="{" ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)}"/>' if points else ""


def _margin(low: float, high: float) -> tuple[float, float]:
    room = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    return low - room, high + room
