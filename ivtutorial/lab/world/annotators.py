"""Simulated annotators: which of two frames they prefer for a caption, from what is known to be true of both.

Their *taste*, in full: a frame's utility is ``3 * alignment - 4 * severity``. Alignment is the share of the caption's
visible facts that the frame shows (subject 1/2, scene 3/10, colour 1/5); severity is how bad it looks
(:attr:`~ivtutorial.lab.world.web_faults.WebFaults.severity`: watermark, blur and washed-out colour weigh most). They
see one frame, so neither movement nor flicker counts. They prefer frame X to frame Y with the probability of the
Bradley-Terry model, ``sigmoid(u_X - u_Y)``: sure of clear cases, undecided in close ones, now and then plainly wrong.
Where a study allows ties, they answer as :func:`with_ties` says; whoever does not tie still chooses with that
probability.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ivtutorial.lab.world import facts as world, web_faults as web
from ivtutorial.lab.world.drawing import scenes
from ivtutorial.lab.world.drawing.pen import Array
from ivtutorial.lab.world.drawing.subject import COLOURS
from ivtutorial.lab.world.drawing.subjects import ALL, subject

ALIGNMENT_WEIGHT, SEVERITY_WEIGHT = 3.0, 4.0
FACT_WEIGHTS = {"subject": 0.5, "scene": 0.3, "colour": 0.2}


@dataclass(frozen=True)
class Pair:
    """A caption and two frames for it.

    Attributes:
        caption: of one of the frames. frames: (2, H, W, 3) in [0, 1].
        utilities: the annotators' noise-free utility of each frame.
        kind: "quality" (same content, other faults), "content" (same faults, one fact wrong) or "both".
        severities: how bad each frame looks, q in [0, 1].
    """

    caption: str
    frames: Array
    utilities: tuple[float, float]
    kind: str
    severities: tuple[float, float] = (0.0, 0.0)


def utility(captioned: world.ClipFacts, drawn: world.ClipFacts, faults: web.WebFaults) -> float:
    """Noise-free utility of a frame that shows ``drawn`` with ``faults``, for a caption of ``captioned``."""
    aligned = sum(w for k, w in FACT_WEIGHTS.items() if getattr(captioned, k) == getattr(drawn, k))
    return ALIGNMENT_WEIGHT * aligned - SEVERITY_WEIGHT * faults.severity


def read_utility(readings: Mapping[str, Array]) -> Array:
    """Utility of clips as far as it can be read off them.

    Args:
        readings: what a judge's `columns` returns with facts, each (N,): subject, scene and colour, 1 where right, and
            the strength of each fault, [0, 1]. A fault that is not read counts as absent.

    Returns:
        (N,), at most 3: right in everything and without a fault.
    """
    aligned = sum(w * np.asarray(readings[name]) for name, w in FACT_WEIGHTS.items())
    severity = sum(w * np.asarray(readings[name]) for name, w in web.SEVERITY.items() if name in readings)
    return np.asarray(ALIGNMENT_WEIGHT * aligned - SEVERITY_WEIGHT * severity)


def preferred(before: Array | float, after: Array | float) -> Array:
    """Probability that an annotator prefers the second of two clips, for N pairs of utilities (N,).

    Example:
        >>> preferred(np.array([1.0, 3.0]), np.array([3.0, 3.0])).round(3)
        array([0.881, 0.5  ])
    """
    return np.asarray(1 / (1 + np.exp(before - after)))


def with_ties(lead: Array | float, ties: float = 1.0) -> Array:
    r"""Shares of wins, ties and losses where a tie is allowed (R. Davidson's Bradley-Terry model with ties, 1970).

    The three go as $e^{\Delta / 2} : \nu : e^{-\Delta / 2}$. The choice of those who do not tie is that of `preferred`.

    Args:
        lead: $\Delta$, utility of a clip minus that of its rival, any shape.
        ties: $\nu \ge 0$; with equal clips a share of $\nu / (2 + \nu)$ are ties, a third by default.

    Returns:
        (3, ...): wins, ties and losses of the clip, which sum to 1.

    Example:
        >>> with_ties(np.array([0.0, 4.0])).round(2)
        array([[0.33, 0.87],
               [0.33, 0.12],
               [0.33, 0.02]])
    """
    lead = np.asarray(lead, dtype=np.float64)
    size = np.abs(lead)  # all three over e^(size / 2), so that no lead is too large
    shares = np.stack([np.exp((lead - size) / 2), ties * np.exp(-size / 2), np.exp((-lead - size) / 2)])
    return np.asarray(shares / shares.sum(axis=0))


def share_of_perfect(before: Array, after: Array) -> float:
    """Share of what a perfect clip would win against `before`, over even odds, that `after` wins: 0 where nothing
    changed, 1 for a perfect clip, below 0 where clips became worse."""
    best = float(preferred(before, ALIGNMENT_WEIGHT).mean()) - 0.5
    return (float(preferred(before, after).mean()) - 0.5) / best if best > 0 else 0.0


def preference(utilities: tuple[float, float]) -> float:
    """Probability that an annotator prefers the first frame (Bradley-Terry)."""
    return 1.0 / (1.0 + math.exp(utilities[1] - utilities[0]))


def annotate(pair: Pair, rng: np.random.Generator) -> bool:
    """One annotator's choice: True for the first frame."""
    return bool(rng.random() < preference(pair.utilities))


def draw_pair(rng: np.random.Generator, kind: str | None = None, held_out: bool | None = False) -> Pair:
    """Draw a caption and two frames for it.

    Args:
        rng: draws everything.
        held_out: as in :func:`ivtutorial.lab.world.facts.draw_facts`.
        kind: see :class:`Pair`; by default half "quality", the rest shared between "content" and "both".
    """
    kind = kind or str(rng.choice(["quality", "content", "both"], p=[0.5, 0.25, 0.25]))
    captioned = world.draw_facts(rng, ALL, held_out)
    faults = [_some_faults(rng), _some_faults(rng)]
    other = replace(captioned, seed=int(rng.integers(2**31)))
    if kind == "content":
        faults[1] = replace(faults[0], seed=int(rng.integers(2**31)))
    if kind != "quality":
        other = change_fact(other, rng)
    drawn = [captioned, other]
    if rng.random() < 0.5:
        drawn.reverse()
        faults.reverse()
    caption = world.caption_of(captioned, subject(captioned.subject), int(rng.integers(1000)))
    frames = np.concatenate([_frame(f, g, rng) for f, g in zip(drawn, faults)])
    utilities = tuple(utility(captioned, f, g) for f, g in zip(drawn, faults))
    severities = (faults[0].severity, faults[1].severity)
    return Pair(caption, frames, (utilities[0], utilities[1]), kind, severities)


def change_fact(facts: world.ClipFacts, rng: np.random.Generator) -> world.ClipFacts:
    """The same clip with another subject, colour or scene."""
    which = str(rng.choice(["subject", "colour", "scene"]))
    options = {
        "subject": [s.name for s in ALL if facts.colour in s.colours],
        "colour": list(COLOURS),
        "scene": list(scenes.SCENES),
    }[which]
    options = [o for o in options if o != getattr(facts, which)]
    changed: dict[str, Any] = {which: options[int(rng.integers(len(options)))]}
    return replace(facts, **changed)


def _some_faults(rng: np.random.Generator) -> web.WebFaults:
    """A third of the frames are clean, so that the annotators also see what good looks like."""
    return web.WebFaults() if rng.random() < 0.33 else web.draw_faults(rng)


def _frame(facts: world.ClipFacts, faults: web.WebFaults, rng: np.random.Generator) -> Array:
    at = [int(rng.integers(world.FRAMES))]
    return web.degrade(world.render(facts, subject(facts.subject), frames=at), faults, np.asarray(at))
