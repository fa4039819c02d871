"""The loop of the book's first chapter: the reward rises from step to step, on the clip that the page shows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import ivtutorial as iv

EXAMPLE = Path(__file__).parents[2] / "examples" / "reward_rises.py"


def test_three_steps_raise_the_reward_each_time() -> None:
    spec = importlib.util.spec_from_file_location("reward_rises", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    model, reward = iv.open_model("reduced"), iv.open_reward("reduced")
    rewards, edits = example.climb(model, reward, example.first_clip(), steps=3)
    assert rewards == sorted(rewards) and rewards[-1] - rewards[0] > 0.005
    assert len(rewards) == len(edits) == 4 and all(frames.shape == (4, 3, 64, 64) for frames in edits)


def test_the_loop_of_the_page_fits_on_it() -> None:
    """A line of a page has at most 88 characters, and the listing is what the chapter promises: twenty lines."""
    text = EXAMPLE.read_text(encoding="utf-8")
    listing = text[text.index("def climb") : text.index("def first")].splitlines()
    assert len([line for line in listing if line]) == 20 and max(map(len, listing)) <= 88
