"""What the chapter on the small world says of data, models and judges is what code, weights and results say."""

from __future__ import annotations

import inspect
import json
import math
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open

from ivtutorial.lab.reduced_models import reward
from ivtutorial.lab.reduced_models.train_all import pool
from ivtutorial.lab.reduced_models.train_all.parts.image_model import ImageConfig
from ivtutorial.lab.reduced_models.viewers import reading, run, taste
from ivtutorial.lab.world import training_captions, web_faults
from ivtutorial.lab.world.drawing.scenes import SCENES
from ivtutorial.lab.world.drawing.subjects import ALL
from ivtutorial.lab.world.facts import FACING_SHARE, is_held_out

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "book" / "small_world.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.split())
MODELS = ROOT / "data" / "models"


def stored(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "data" / "results" / f"{name}.json").read_text(encoding="utf-8"))
    return content


MEASURED = stored("reduced_models")


def millions(folder: str) -> float:
    """Weights below a folder of data/models."""
    count = 0
    for path in (MODELS / folder).rglob("*.safetensors"):
        with safe_open(path, "np") as file:
            names = file.keys()
            count += sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    return count / 1e6


@pytest.mark.parametrize("fault", pool.CHANCE)
def test_the_row_of_a_fault(fault: str) -> None:
    [row] = [line for line in PAGE.splitlines() if line.startswith(f"| {fault} | ")]
    *_, tuned, base, weight = (cell.strip() for cell in row.strip("|").split("|"))
    assert tuned == f"{web_faults._CHANCE[fault]:.2f}, {web_faults.STRONGEST[fault]:g}"
    assert base == f"{pool.CHANCE[fault]:.2f}, {pool.STRONGEST_FAULTS[fault]:g}"
    assert weight == (f"{web_faults.SEVERITY[fault]:.2f}" if fault in web_faults.SEVERITY else "-")


def test_how_many_faults_a_clip_has() -> None:
    assert f"add up to {sum(web_faults._CHANCE.values()):.2f}, so such a clip has about three" in TEXT
    clean = math.prod(1 - chance for chance in web_faults._CHANCE.values())
    assert f"0.6^2 = {clean:.3f}$: one clip in fifty" in TEXT and round(1 / clean, -1) == 50
    assert f"has {sum(pool.CHANCE.values()):.2f} faults on average, and one in nineteen has none" in TEXT
    assert round(1 / math.prod(1 - chance for chance in pool.CHANCE.values())) == 19
    assert "Of the clips that the model learned from, half have a watermark" in TEXT and pool.CHANCE["watermark"] == 0.5


def test_what_captions_leave_out_and_add() -> None:
    doc = training_captions.training_caption.__doc__ or ""
    assert "in 7 of 100 all but the subject, in 8 more its colour" in doc
    assert "8 % omit the colour, 7 % name only the subject" in TEXT
    assert f"{100 * (1 - FACING_SHARE):.0f} % of the others omit the side where the action has no direction" in TEXT
    assert "If the clip has faults (next section), half of these other captions name up to three of them" in TEXT
    assert (training_captions.FAULT_SHARE, training_captions.MOST_FAULTS) == (0.5, 3)


def test_what_is_held_out() -> None:
    held = [(s.name, c, scene) for s in ALL for c in s.colours for scene in SCENES if is_held_out(s.name, c, scene)]
    assert f"About one in eight, {len(held)} of them, is *held out*" in TEXT
    assert "The seven with an orange frame" in TEXT and sum(name == "fox" for name, _, _ in held) == 7


def test_the_sizes_of_the_models() -> None:
    wide = json.loads((MODELS / "reduced" / "unet" / "config.json").read_text(encoding="utf-8"))["block_out_channels"]
    unet, small_reward = millions("reduced/unet"), millions("reward")
    assert f"two levels of {wide[0]} and {wide[1]} channels, {unet:.1f} million weights" in TEXT
    assert f"patches of 8 pixels, {small_reward:.1f} million weights" in TEXT


def test_how_they_were_trained() -> None:
    """The image model's frames have at most a watermark for 0.65 of its training, and a quarter of them afterwards."""
    image = ImageConfig()
    assert "in the first stage three in four with at most a watermark" in TEXT
    assert "for two thirds of the training" in TEXT
    clean = image.web_from + (1 - image.web_from) * (1 - image.web_share)
    assert abs(clean - 0.75) < 0.02 and abs(image.web_from - 2 / 3) < 0.02
    rows = [json.loads(path.read_text(encoding="utf-8")) for path in MODELS.glob("*/training.json")]
    stages = {name: row for rows_of in rows if "stage" not in rows_of for name, row in rows_of.items()}
    assert "All together took eleven core-hours" in TEXT
    assert round(sum(row["core_seconds"] for row in stages.values()) / 3600) == 11
    began = {name for name, row in stages.items() if "started_from" in row}
    assert "The shipped reward and the first judge began from weights" in TEXT and began == {"judge", "words"}


def test_what_the_judges_have_to_do_with_the_reward() -> None:
    """Half of the pairs of every third step are ranked by the judges; the code of `taste` and `reading` says so."""
    assert "So the judges decide one pair in six" in TEXT and taste.SAMPLED * 2 == 6
    assert "dropped after the first quarter" in TEXT and taste.ANCHOR == 0.25
    assert "nine simulated annotators vote" in TEXT and reward.ANNOTATORS == 9
    assert "three parts those after the stage and one part" in TEXT and run.TUNED == 0.75
    assert "one in three has been encoded and decoded" in TEXT and reading.DECODED == 3
    assert "Three in five of these are spoilt" in TEXT and "web_share=0.6" in inspect.getsource(reading)


def test_what_was_measured() -> None:
    seen, faults, judge = MEASURED["samples"]["seen"], MEASURED["faults"], MEASURED["judge"]
    assert f"Over {seen['clips']} samples, four for each of {MEASURED['settings']['prompts']} prompts" in TEXT
    assert f"subject in {100 * seen['subject']['mean']:.0f} %, colour and scene in all" in TEXT
    assert seen["colour"]["mean"] == seen["scene"]["mean"] == 1
    assert f"but the movement in {100 * seen['movement']['mean']:.0f} %" in TEXT
    for name in ("sharpness", "colourfulness"):
        assert f"({name} {faults['samples'][name]:.3f} against {faults['clean'][name]:.3f})" in TEXT
    assert f"In {100 * faults['watermark_share']:.0f} % the judge reads a watermark of more than half" in TEXT
    right = [100 * judge[quality]["subject"]["mean"] for quality in ("clean", "web")]
    assert f"in {right[0]:.0f} % of fresh clean clips and in {right[1]:.0f} % of spoilt ones" in TEXT
    assert all(judge[quality][name]["mean"] == 1 for quality in judge for name in ("colour", "scene", "movement"))
    eye = stored("named_by_eye")
    assert f"the list of the {eye['cells']} species and two stills of one sample of each" in TEXT
    assert f"and named {eye['right']} rightly" in TEXT
    assert f"prefers the clean one in {100 * MEASURED['reward']['clean_over_web']['mean']:.0f} %" in TEXT


def test_what_a_step_costs() -> None:
    [t4] = [row for row in stored("count_step")["rows"] if row["name"] == "preset t4"]
    assert f"a step of eight clips takes at least {t4['cards']['T4']['floor']:.0f} seconds" in TEXT
    demo = stored("demo_paper")
    assert "a step of four clips took five seconds on two CPU cores" in TEXT
    assert (demo["config"]["clips_per_step"], round(demo["seconds_per_step"]), demo["processes"]) == (4, 5, 2)
