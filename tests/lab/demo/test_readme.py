"""What README says of the demo is what the demo said: data/results/demo.json is its summary.json."""

from __future__ import annotations

import json
from pathlib import Path

from ivtutorial.system.files import data_path

ROOT = Path(__file__).resolve().parents[3]


def test_the_numbers_of_the_demo_in_readme() -> None:
    d = json.loads(data_path("results", "demo.json").read_text(encoding="utf-8"))
    u, preferred, (before, after) = d["utility"], d["preferred"], (d["judge_before"], d["judge_after"])
    less = {name: f"{1 - after[name] / before[name]:.0%}".replace("%", " %") for name in ("watermark", "blur", "wash")}
    quoted = (
        f"(seed {d['seed']}, {d['hardware']}, {d['date']}",
        f"the reward of {d['prompts']} held-out",
        f"rises from {d['reward_before']:.3f} to {d['reward_after']:.3f}",
        f"paired 95 % interval {d['ci95'][0]:+.3f} to {d['ci95'][1]:+.3f}",
        f"from {u['before']:.2f} to {u['after']:.2f} ({u['ci95'][0]:+.2f} to {u['ci95'][1]:+.2f})",
        f"in {preferred['share']:.0%} of the pairs".replace("%", " %"),
        f"would win {preferred['perfect']:.0%}".replace("%", " %"),
        f"{less['watermark']} less watermark, {less['blur']} less blur and {less['wash']} less haze",
        f"the judge names {before['subject']:.0%} of the animals".replace("%", " %"),
    )
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    assert [text for text in quoted if text not in readme] == []
