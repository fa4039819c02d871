"""Reward against truth along the runs: what was trained for across, what is true up, a path for each arm.

A path begins at the untouched model. Right and up is what everybody wants, right and down is over-optimisation, and
left has lost both. Contours say how often the annotators would prefer the tuned clip. The dashed path is an A/A arm,
the same arm with other noise. A bar joins its end to where the solid path has cost as much: so far chance alone goes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.contrasts import BASE, TWINS, change, interval, own_prompts
from ivtutorial.lab.experiments.answers.course import cost, difference_of
from ivtutorial.lab.experiments.answers.curves import FIGURE_WIDTH, look, new_figure
from ivtutorial.lab.experiments.answers.results import read_result, to_be_measured
from ivtutorial.notebook.style import GREY
from ivtutorial.pages.embed import vector_picture

AXES = ("reward", "utility")
CHOICES = (0.2, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8)
# The paths of the figure that tells the whole story: words, and (experiment, arm), the first that was measured.
STORY = (
    (
        "InstructVideo, rate {lr:g}",
        (("fig5a", "instructvideo"), ("fig7", "segvr-tar"), ("fig8", "instructvideo"), ("frontier", "paper")),
    ),
    ("InstructVideo, rate {lr:g}", (("guards", "plain"),)),
    ("and half of the adapter", (("guards", "half-scale"),)),
    ("DRaFT-1", (("fig5a", "draft-1"),)),
    ("QuickEdit", (("late-step", "quick-51-fifth"),)),
    ("RWR", (("fig5a", "rwr"),)),
    ("supervised", (("fig5a", "supervised"),)),
    ("DDPO", (("fig5a", "ddpo"),)),
)
AGAIN = "the same again: chance"


@dataclass(frozen=True)
class Course:
    """An arm of a result, with the words that a figure has for it.

    Attributes:
        label: in words. result: content of result.json. arm: its name there.
    """

    label: str
    result: Mapping[str, Any]
    arm: str

    @property
    def experiment(self) -> str:
        """Name of the experiment."""
        return str(self.result.get("experiment"))

    def points(self) -> Any:
        """Changes of reward and of utility from the untouched model along the runs, from (0, 0), (moments + 1, 2).

        Raises:
            InputError: nothing was measured along the runs, or without the utility.
        """
        moments = self.result["arms"].get(self.arm, {}).get("moments", [])
        if not moments:
            raise InputError(f"the result of {self.experiment} has nothing measured along the runs of {self.arm!r}.")
        means = [
            [change(self.result, BASE, self.arm, column, (None, k)).mean() for column in AXES]
            for k in range(len(moments))
        ]
        return np.array([[0.0, 0.0], *means])

    @property
    def twin_of(self) -> str | None:
        """The side whose twin this arm is, or None; see `TWINS`."""
        side, twin = TWINS.get(self.experiment, ("", ""))
        return side if twin == self.arm else None


def draw_paths(figure: Any, courses: Sequence[Course]) -> None:
    """A path an arm, with the 95 % intervals of its end; contours, and the A/A arm as the module says.

    Args:
        figure: of matplotlib.
        courses: arms whose `points` were measured.
    """
    axis = figure.subplots(1, 1)
    axis.plot(0, 0, "k+", ms=14, mew=2, zorder=5, label="the untouched model")
    originals = [course for course in courses if not course.twin_of]
    looks = {(course.experiment, course.arm): look(k) for k, course in enumerate(originals)}
    for course in courses:
        original = (course.experiment, (course.twin_of or course.arm).partition("@")[0])
        style = looks.get(original, {"color": GREY, "marker": "o"})
        if course.twin_of:
            style = {**style, "linestyle": "--", "markerfacecolor": "white"}
        x, y = course.points().T
        axis.plot(x, y, lw=1.8, ms=5, label=course.label, **style)
        bars = [interval(change(course.result, BASE, course.arm, c), own_prompts(course.result)) for c in AXES]
        across, up = (None if bar is None else [[bar.mean - bar.low], [bar.high - bar.mean]] for bar in bars)
        axis.errorbar(x[-1], y[-1], xerr=across, yerr=up, lw=0.8, alpha=0.6, color=style["color"])
        if course.twin_of and original in looks:
            _chance(axis, course, (x[-1], y[-1]))
    _contours(axis)
    axis.locator_params(axis="x", nbins=6)
    axis.set_xlabel("what was trained for: change of the reward")
    axis.set_ylabel("what is true: change of the utility u")
    longest = max(len(course.label) for course in courses)
    figure.legend(loc="outside lower left", ncols=2 if longest < 26 else 1, frameon=False)


def story_figure(folder: str | Path | None = None) -> Any | None:
    """The figure of all results, with the paths of `STORY`; None where nothing was measured.

    Raises:
        InputError: a file that is not a result, or no matplotlib.
    """
    courses = story_courses(folder)
    if not courses:
        return None
    figure = new_figure(FIGURE_WIDTH, 4.4 + 0.2 * len(courses))
    draw_paths(figure, courses)
    return figure


def shown_story(words: str, folder: str | Path | None = None) -> str:
    """Reward against truth along the runs of all experiments, as a piece of a page; below it, whose paths are missing.

    Args:
        words: what the picture shows, for those who cannot see it.
        folder: with the JSON files; default the shipped `data/results`.

    Returns:
        HTML text for `IPython.display.HTML`; the command that makes a result where there is no path at all.

    Raises:
        InputError: a file that is not a result, or no matplotlib.
    """
    figure = story_figure(folder)
    if figure is None:
        return f"<p><em>{to_be_measured('fig5a')}</em></p>"
    places = [place for _, choice in STORY for place in choice]
    results = {name: read_result(name, folder) for name, _ in places}
    missing = [
        name
        for name, arm in places
        if arm in (results[name] or {"arms": {}})["arms"] and _course("", name, arm, folder) is None
    ]
    names = ", ".join(dict.fromkeys(missing))
    note = f"<p>Not drawn, for want of the utility along their runs: {names}.</p>" if missing else ""
    return vector_picture(figure, words) + note


def story_courses(folder: str | Path | None = None) -> list[Course]:
    """The arms of `STORY` whose reward and utility were measured along their runs; the first one's twin beside it."""
    courses: list[Course] = []
    for words, places in STORY:
        measured = [course for place in places if (course := _course(words, *place, folder)) is not None]
        courses += measured[:1]
        twin = TWINS.get(measured[0].experiment, ("", ""))[1] if len(courses) == 1 and measured else ""
        if twin and (again := _course(AGAIN, measured[0].experiment, twin, folder)) is not None:
            courses.append(again)
    return [_with_cost(course, courses[0]) for course in courses]


def _course(words: str, name: str, arm: str, folder: str | Path | None) -> Course | None:
    result = read_result(name, folder)
    if result is None or arm not in result["arms"]:
        return None
    quick = " (quick)" if result["quick"] else ""
    course = Course(words.format(lr=result["arms"][arm].get("lr", 0.0)) + quick, result, arm)
    try:
        course.points()
    except InputError:
        return None
    return course


def _with_cost(course: Course, first: Course) -> Course:
    """Says in the label what the whole run may cost, where that is not what the first path's does."""
    spent, usual = (cost(c.result, c.arm) for c in (course, first))
    if not spent or not usual or abs(spent / usual - 1) < 0.05:
        return course
    return Course(f"{course.label}, {spent / usual:.2g} times the cost", course.result, course.arm)


def _chance(axis: Any, twin: Course, end: tuple[float, float]) -> None:
    """A bar from the end of a twin to where its original has cost as much."""
    there = [float(difference_of(twin.result, BASE, str(twin.twin_of), column).mean()) for column in AXES]
    joined = [there[0], end[0]], [there[1], end[1]]
    axis.plot(*joined, color=GREY, lw=5, alpha=0.5, solid_capstyle="round", zorder=1, marker="none")


def _contours(axis: Any) -> None:
    """Lines of equal preference, which go straight across: the annotators do not see the reward."""
    low, high = axis.get_ylim()
    levels = {share: float(np.log(share / (1 - share))) for share in CHOICES}
    kept = {share: u for share, u in levels.items() if low < u < high}
    for u in kept.values():
        axis.axhline(u, color="grey", linestyle=":" if u else "-", linewidth=1, zorder=0)
    right = axis.secondary_yaxis("right")
    right.set_yticks(list(kept.values()), [f"{share:.0%}" for share in kept])
    right.set_ylabel("annotators who would prefer it")
    axis.set_ylim(low, high)
