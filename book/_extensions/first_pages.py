"""Sphinx extension: three directives of the first pages, each made when the book is built.

- `demo-pairs`: held-out prompts before and after `make demo`, playing side by side, from data/gallery;
- `demo-numbers`: what the demo measured, as a table, from data/results/demo.json and demo_paper.json;
- `first-loop`: what examples/reward_rises.py does to a clip, and the curve of its reward. It is run here.

The first and the last are numbered figures: their content is the caption.
"""

from __future__ import annotations

import html
import importlib.util
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from made_parts import MadeFigure, MadeLines

from ivtutorial.pages import film_assets, html_film, html_reel, svg_curve
from ivtutorial.video.reader import read_video, video_facts

ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "data" / "results" / "demo.json"
PAPER = DEMO.with_name("demo_paper.json")  # with the paper's own gradient
PAIRS = ROOT / "data" / "gallery" / "before_after.mp4"
LOOP = ROOT / "examples" / "reward_rises.py"
SEEN = {"watermark": "watermark", "blur": "blur", "wash": "haze"}  # strengths that the judge reads -> their names
SHOWN = {"subject": "animal", "movement": "movement"}  # facts that it compares with the prompt


def number_rows(demo: dict[str, Any], paper: dict[str, Any]) -> list[str]:
    """Lines of Markdown: what was trained for, the truth, what the judge reads, what annotators would prefer.

    Args:
        demo: as `ivtutorial.lab.demo.summary` makes it, with a judge.
        paper: the same with the gradient of the last step.
    """
    before, after, u, won = (demo[name] for name in ("judge_before", "judge_after", "utility", "preferred"))
    reward = ("**reward**: a cosine, at most 1", demo["reward_before"], demo["reward_after"], demo["ci95"], 3)
    truth = ("**utility**: at most 3", *u.values(), 2)
    rows = [
        (name, f"{x:.{n}f}", f"{y:.{n}f}", f"{y - x:+.{n}f} ({low:+.{n}f} to {high:+.{n}f})")
        for name, x, y, (low, high), n in (reward, truth)
    ]
    for name, words in SEEN.items():
        x, y = before[name], after[name]
        rows.append((f"{words}, as the judge reads it: 0 to 1", f"{x:.2f}", f"{y:.2f}", f"{100 * (y / x - 1):+.0f} %"))
    for name, words in SHOWN.items():
        x, y = 100 * before[name], 100 * after[name]
        change = f"{y - x:+.0f} points" if y != x else "none"
        rows.append((f"clips in which the judge finds the right {words}", f"{x:.0f} %", f"{y:.0f} %", change))
    share, perfect, low, high = (f"{100 * x:.0f} %" for x in (won["share"], won["perfect"], *won["ci95"]))
    words = f"pairs in which simulated annotators prefer the clip after: 50 % by chance, {perfect} if all were perfect"
    rows.append((words, "", share, f"({low} to {high})"))
    lines = ["| | before | after | change (95 % interval) |", "|---|---|---|---|"]
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), "", *below(demo, paper)]


def below(demo: dict[str, Any], paper: dict[str, Any]) -> list[str]:
    """What stands below the table: what was measured, and which gradient was followed."""
    reward = paper["reward_after"] - paper["reward_before"]
    utility = paper["utility"]["after"] - paper["utility"]["before"]
    return [
        f"{demo['prompts']} prompts that fine-tuning never used, {demo['steps']} steps of training, one run "
        f"(seed {demo['seed']}); {demo['hardware']}, {demo['date']}. The intervals are over the prompts of this run, "
        "and changes are computed before rounding. The gradient is that of the last sampling step but one, where it is "
        "strongest in this model; that of "
        f"the last step, as in the paper, changes the reward by {reward:+.3f} and the utility by {utility:+.2f} "
        "(`ivtutorial demo --paper --out runs/paper`)."
    ]


def pairs(frames: Any, prompts: Sequence[str], fps: float) -> str:
    """Clips side by side, before and after, with the whole prompt below each pair.

    Args:
        frames: uint8 (F, 2 H, n H, 3): a column of H pixels for each of n pairs, before above after.
        prompts: n texts.
        fps: frames a second.

    Returns:
        HTML text, for a page with `film_assets()`.
    """
    size = frames.shape[1] // 2
    cells = []
    for k, prompt in enumerate(prompts):
        column = frames[:, :, k * size : (k + 1) * size]
        films = "".join(
            f"<div>{html_film(clip, f'{word}: {prompt}', fps, quality=92)}<span>{word}</span></div>"
            for word, clip in (("before", column[:, :size]), ("after", column[:, size:]))
        )
        cells.append(f"<figure><div>{films}</div><figcaption>{html.escape(prompt)}</figcaption></figure>")
    return html_reel(f'<div class="demo-pairs">{"".join(cells)}</div>')


@cache
def loop() -> str:
    """Run the example, and show the clip before, on the way and after, and the curve: HTML text."""
    import numpy as np

    import ivtutorial as iv
    from ivtutorial.notebook import film_strip

    spec = importlib.util.spec_from_file_location("reward_rises", LOOP)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    rewards, edits = example.climb(iv.open_model("reduced"), iv.open_reward("reduced"), example.first_clip())
    last = len(rewards) - 1
    if rewards[last] <= rewards[0]:
        raise ValueError(f"the reward of the first loop falls from {rewards[0]:.3f} to {rewards[last]:.3f}.")
    steps = (0, 2 * last // 3, last)
    labels = [f"{f'after {k} steps' if k else 'before'}: {rewards[k]:.3f}" for k in steps]
    strip = film_strip([np.asarray(edits[k]) for k in steps], labels, titles=[f"frame {f}" for f in (2, 6, 10, 14)])
    return f'{strip}<div class="loop-curve">{svg_curve(list(enumerate(rewards)), height=200, window=1)}</div>'


class DemoPairs(MadeFigure):
    """`demo-pairs`."""

    def sources(self) -> list[Path]:
        """The film of all clips, and their prompts."""
        return [PAIRS, PAIRS.with_suffix(".json")]

    def drawn(self) -> str:
        """The clips of the gallery with their prompts."""
        facts = video_facts(PAIRS)
        frames = read_video(PAIRS, round(facts.seconds * facts.fps), facts.fps)
        prompts = json.loads(PAIRS.with_suffix(".json").read_text(encoding="utf-8"))
        return pairs(frames, prompts, facts.fps) + film_assets()


class FirstLoop(MadeFigure):
    """`first-loop`."""

    def sources(self) -> list[Path]:
        """The example."""
        return [LOOP]

    def drawn(self) -> str:
        """What the loop did."""
        return loop()


class DemoNumbers(MadeLines):
    """`demo-numbers`, without arguments or content."""

    def sources(self) -> list[Path]:
        """What the demo measured."""
        return [DEMO, PAPER]

    def lines(self) -> list[str]:
        """The table."""
        return number_rows(*(json.loads(path.read_text(encoding="utf-8")) for path in (DEMO, PAPER)))


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    for name, directive in (("demo-pairs", DemoPairs), ("demo-numbers", DemoNumbers), ("first-loop", FirstLoop)):
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
