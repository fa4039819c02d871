"""What README says of the demo is what the demo said: data/results/demo.json is its summary.json."""

from __future__ import annotations

import json
from pathlib import Path

from ivtutorial.system.files import data_path

ROOT = Path(__file__).resolve().parents[3]


def ends(interval: list[float]) -> str:
    """Both ends of an interval, with their signs."""
    return f"{interval[0]:+.2f} to {interval[1]:+.2f}"


def test_the_numbers_of_the_demo_in_readme() -> None:
    d, paper, named, told_apart = (
        json.loads(data_path("results", f"{name}.json").read_text(encoding="utf-8"))
        for name in ("demo", "demo_paper", "named_by_eye", "told_by_eye")
    )
    u, preferred, (before, after) = d["utility"], d["preferred"], (d["judge_before"], d["judge_after"])
    gained = paper["utility"]["after"] - paper["utility"]["before"]
    less = {name: f"{1 - after[name] / before[name]:.0%}".replace("%", " %") for name in ("watermark", "blur", "wash")}
    quoted = (
        f"(seed {d['seed']}, {d['hardware']}, {d['date']}",
        f"| {d['prompts']} held-out prompts |",
        f"| reward | {d['reward_before']:.3f} | {d['reward_after']:.3f} | {d['ci95'][0]:+.3f} to {d['ci95'][1]:+.3f} |",
        f"| utility u | {u['before']:.2f} | {u['after']:.2f} | {ends(u['ci95'])} |",
        f"in {preferred['share']:.0%} of the pairs".replace("%", " %"),
        f"would win {preferred['perfect']:.0%}".replace("%", " %"),
        f"{less['watermark']} less watermark, {less['blur']} less blur and {less['wash']} less haze",
        f"named {named['right']} of {named['cells']} animals right, from two stills of each sample",
        f"clip of {told_apart['pairs']} pairs, with neither captions nor labels",
        f"which one came after in {told_apart['right']} of {told_apart['pairs']} ([answers]",
        f"to u = {paper['utility']['after']:.2f} (a change of {gained:+.2f}, {ends(paper['utility']['ci95'])}) in as "
        "many training steps",
        f"the judge names {before['subject']:.0%} of the animals".replace("%", " %"),
    )
    assert paper["steps"] == d["steps"] and before["subject"] == after["subject"]
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert [text for text in quoted if text not in readme] == []
