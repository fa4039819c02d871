"""Sphinx extension: three directives of the first pages, each made when the book is built.

- `demo-pairs`: held-out prompts before and after `make demo`, playing side by side, from data/gallery;
- `demo-numbers`: what the demo measured, as a table, from data/results/demo.json;
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
PAIRS = ROOT / "data" / "gallery" / "before_after.mp4"
LOOP = ROOT / "examples" / "reward_rises.py"
SEEN = {"watermark": "watermark", "blur": "blur", "wash": "haze"}  # strengths that the judge reads -> their names


def number_rows(demo: dict[str, Any]) -> list[str]:
    """Lines of Markdown: what was trained for, the truth, what the judge reads, what viewers would choose.

    Args:
        demo: as `ivtutorial.lab.demo.summary` makes it, with a judge.
    """
    before, after, u, viewers = (demo[name] for name in ("judge_before", "judge_after", "utility", "preferred"))
    reward = ("**reward**, which was trained for", demo["reward_before"], demo["reward_after"], demo["ci95"], 3)
    truth = ("**utility**, which was not: how viewers who read the prompt rate a clip, at most 3", *u.values(), 2)
    rows = [
        (name, f"{x:.{n}f}", f"{y:.{n}f}", f"{y - x:+.{n}f} (95 %: {low:+.{n}f} to {high:+.{n}f})")
        for name, x, y, (low, high), n in (reward, truth)
    ]
    for name, words in SEEN.items():
        x, y = before[name], after[name]
        rows.append((f"{words}, as a judge sees it, 0 to 1", f"{x:.2f}", f"{y:.2f}", f"{100 * (y / x - 1):+.0f} %"))
    x, y = 100 * before["subject"], 100 * after["subject"]
    rows.append(("clips with the right animal", f"{x:.0f} %", f"{y:.0f} %", f"{y - x:+.0f} points"))
    bounds = f"no change: 50 %, perfect clips: {100 * viewers['perfect']:.0f} %"
    rows.append(("pairs in which viewers choose the clip after", "", f"{100 * viewers['share']:.0f} %", bounds))
    lines = ["| | before | after | change |", "|---|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    where = f"{demo['prompts']} held-out prompts, {demo['steps']} steps of training, one run (seed {demo['seed']})"
    return [*lines, "", f"{where}; {demo['hardware']}, {demo['date']}."]


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
    """Run the example, and show the clip before, half-way and after, and the curve: HTML text."""
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
    return f'{strip}<div class="loop-curve">{svg_curve(list(enumerate(rewards)), height=200)}</div>'


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
        return [DEMO]

    def lines(self) -> list[str]:
        """The table."""
        return number_rows(json.loads(DEMO.read_text(encoding="utf-8")))


def setup(app: Any) -> dict[str, bool]:
    """Register the directives."""
    for name, directive in (("demo-pairs", DemoPairs), ("demo-numbers", DemoNumbers), ("first-loop", FirstLoop)):
        app.add_directive(name, directive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
