"""The measurements of the reduced models: each gives the known answer for a model whose quality is known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ivtutorial.data.prompts import Prompt
from ivtutorial.errors import InputError
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.reduced_models import cards, measure, measure_reward
from ivtutorial.lab.reduced_models.export import export_models
from ivtutorial.lab.reduced_models.measure import MeasureConfig, fresh_clips
from ivtutorial.lab.world.judges.judge import READINGS

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

SMALL = MeasureConfig(clips=3, prompts=2, seeds=1, pairs=12)
FACTS = {"subject": "fox", "colour": "red", "scene": "snow", "action": "run", "facing": "left", "seed": 1}


class PerfectJudge:
    """Says that all is right, once for every clip it is shown."""

    def __call__(self, frames: Tensor, facts: list[Any]) -> SimpleNamespace:
        return SimpleNamespace(right={name: torch.ones(len(facts)) for name in READINGS})


# --- clips, judge, autoencoder ----------------------------------------------------------------------


def test_both_qualities_show_the_same_contents() -> None:
    (clean, facts), (web, same) = next(fresh_clips(SMALL, False)), next(fresh_clips(SMALL, True))
    assert facts == same and clean.shape == web.shape == (3, 16, 3, 64, 64)
    assert not torch.equal(clean, web)


def test_a_perfect_judge_reads_everything() -> None:
    found = measure.measure_judge(PerfectJudge(), SMALL)  # type: ignore[arg-type]
    assert all(
        found[quality][name]["mean"] == 1 and found[quality][name]["n"] == 3 for quality in found for name in READINGS
    )


def test_psnr_and_colour_error_by_hand() -> None:
    """An autoencoder that makes red 0.1 too strong: MSE 0.01 / 3, 24.77 dB, chroma off by 0.0169, 0.05."""

    def decode_clips(latents: Tensor) -> Tensor:
        red = torch.zeros(1, 1, 3, 1, 1)
        red[:, :, 0] = 0.1
        return latents + red

    model = SimpleNamespace(encode=lambda clips: clips, decode_clips=decode_clips)
    found = measure.measure_vae(model, PerfectJudge(), MeasureConfig(clips=1))  # type: ignore[arg-type]
    assert found["clean"]["psnr"] == pytest.approx(24.77, abs=0.01)
    assert found["clean"]["colour_error"] == pytest.approx((0.0169 + 0.05) / 2, rel=1e-4)
    assert found["web"]["reconstruction"]["subject"]["mean"] == 1


def test_watermarks_are_counted_above_one_half() -> None:
    names = ("sharpness", "colourfulness", "blur", "wash", "noise", "flicker", "motion")
    same = {"prompt": "p", "seed": 0, "clip": "", "reward": 0.0, **dict.fromkeys(names, 0.5)}
    rows = [{"index": k, **same, "watermark": w} for k, w in enumerate((0.1, 0.5, 0.6, 0.9))]
    found = measure.measure_faults(Evaluation(rows, {}), [Prompt("a fox", FACTS)])
    assert found["watermark_share"] == 0.5
    assert found["samples"]["sharpness"] == 0.5 and found["clean"]["sharpness"] > 0


@pytest.mark.parametrize("name", ["clips", "prompts", "seeds", "pairs"])
def test_something_must_be_measured(name: str) -> None:
    with pytest.raises(InputError, match="positive"):
        MeasureConfig(**{name: 0})


# --- reward -----------------------------------------------------------------------------------------


def test_the_annotators_themselves_agree_with_their_taste(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reward that knows the utility of each frame agrees in all pairs of frames; its negative in none."""
    known: dict[bytes, float] = {}
    draw = measure_reward.annotators.draw_pair

    def draw_and_tell(*args: Any) -> Any:
        pair = draw(*args)
        known.update({frame.tobytes(): u for frame, u in zip(pair.frames, pair.utilities, strict=True)})
        return pair

    monkeypatch.setattr(measure_reward.annotators, "draw_pair", draw_and_tell)

    def oracle(frames: Tensor, captions: list[str]) -> Tensor:
        keys = [frame.permute(1, 2, 0).contiguous().numpy().tobytes() for frame in frames]
        return torch.tensor([known.get(key, 0.0) for key in keys])

    found = measure_reward.measure_reward(oracle, pairs=12)
    assert [found[kind]["mean"] for kind in ("clean_over_web", "quality", "content")] == [1, 1, 1]
    assert found["caption"]["mean"] == 0, "it does not look at captions"
    assert found["content"]["n"] == found["caption"]["n"] == 12 > found["clean_over_web"]["n"] > 0
    against = measure_reward.measure_reward(lambda frames, captions: -oracle(frames, captions), pairs=12)
    assert against["quality"]["mean"] == against["content"]["mean"] == 0


def test_slopes_are_those_within_captions() -> None:
    """reward = 0.05 subject - 0.1 watermark + something of each caption's own, which must not count, + noise."""
    rng = np.random.default_rng(0)
    rows = []
    for index in range(150):
        own = rng.normal(0, 1)  # liked captions are also the ones whose subject comes out right
        for seed in range(4):
            subject, watermark = float(rng.random() < 0.5 + 0.3 * np.sign(own)), rng.random()
            reward = own + 0.05 * subject - 0.1 * watermark + rng.normal(0, 0.02)
            rows.append({"index": index, "prompt": str(index), "seed": seed, "clip": "", "reward": reward,
                         "subject": subject, "watermark": watermark, "scene": 1.0})  # fmt: skip
    slopes = measure_reward.slopes_within_captions(Evaluation(rows, {}))
    assert list(slopes) == ["subject", "watermark"]
    for name, true in (("subject", 0.05), ("watermark", -0.1)):
        assert abs(slopes[name]["slope"] - true) < 4 * slopes[name]["se"] < 0.02
    with pytest.raises(InputError, match="two seeds"):
        measure_reward.slopes_within_captions(Evaluation(rows[::4], {}))


# --- cards and export ---------------------------------------------------------------------------------


def estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "std": 0.1, "low": mean - 0.01, "high": mean + 0.01, "n": 100}


def results(species: float = 0.91) -> dict[str, Any]:
    read = {name: estimate(0.99) for name in READINGS}
    vae = {"psnr": 29.31, "colour_error": 0.0123, "original": read, "reconstruction": read}
    return {
        "judge": {"clean": read, "web": read},
        "vae": {"clean": vae, "web": vae},
        "reward": {kind: estimate(0.97) for kind in ("clean_over_web", "quality", "content", "caption")},
        "samples": {name: {**read, "subject": estimate(species)} for name in ("seen", "unseen")},
        "faults": {
            "watermark_share": 0.4,
            "samples": {"sharpness": 0.2, "colourfulness": 0.1},
            "clean": {"sharpness": 0.3, "colourfulness": 0.15},
        },
        "settings": {"clips": 510, "prompts": 90, "seeds": 4, "D": 20, "guidance": 3.0, "pairs": 1000},
        "provenance": {"date": "2024-01-02", "hardware": "a machine", "seed": 0},
    }


TRAINED = {
    "config": {"steps": 6000, "batch": 5, "lr": 0.002, "seed": 0},
    "processes": 2, "seconds": 5400.0, "hardware": "two cores", "date": "2024-01-01",
}  # fmt: skip


def test_cards_say_how_a_model_was_trained_and_what_was_measured(tmp_path: Path) -> None:
    """5400 s are 1.5 hours, and 5 samples in each of 2 processes a batch of 10."""
    for name in ("reduced", "reward", "judge"):
        (tmp_path / name).mkdir()
    (tmp_path / "reduced" / "training.json").write_text(json.dumps({"vae": TRAINED}))
    longer = {**TRAINED, "seconds_before": 3600, "history": ["narrow first", "then wide"]}
    (tmp_path / "judge" / "training.json").write_text(json.dumps(longer))
    paths = cards.write_cards(tmp_path, results())
    assert [path.parent.name for path in paths] == ["reduced", "reward", "judge"]
    reduced, reward, judge = (path.read_text(encoding="utf-8") for path in paths)
    assert "| vae | 6000 | 10 | 0.002 | 0 | 1.5 | two cores | 2024-01-01 |" in reduced
    assert "| samples, known combinations: species | 0.910 (0.900 to 0.920) | 0.75 | 0.92 |" in reduced
    assert "0.0123" in reduced and "29.3" in reduced and "sharpness 0.200 beside 0.300" in reduced
    assert "| 2.5 |" in judge and "judge: narrow first; then wide." in judge
    assert "`ivtutorial zoo train judge`" in judge and "No record" in reward


def test_a_missed_bar_is_said(tmp_path: Path) -> None:
    (tmp_path / "reduced").mkdir()
    (path,) = cards.write_cards(tmp_path, results(species=0.7))
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "missed" in line]
    assert lines == ["| samples, known combinations: species | 0.700 (0.690 to 0.710) | 0.75 (missed) | 0.92 |"]
    assert sum(line.endswith("MISSED") for line in cards.summary_lines(results(species=0.7))) == 1


def test_incomplete_measurements_are_named(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    with pytest.raises(InputError, match="judge/clean/subject"):
        cards.write_cards(tmp_path, {"judge": {}})
    with pytest.raises(InputError, match="no model"):
        cards.write_cards(tmp_path / "none", results())


def test_export_gathers_what_was_trained(fresh_backbone: Backbone, tmp_path: Path) -> None:
    from ivtutorial.models.backbone_folder import load_backbone

    work, models = tmp_path / "work", tmp_path / "models"
    fresh_backbone.tokenizer.save_pretrained(work / "tokenizer")
    fresh_backbone.text_encoder.save_pretrained(work / "text_encoder")
    fresh_backbone.vae.save_pretrained(work / "vae")
    with pytest.raises(InputError, match="unet"):
        export_models(work, models)
    fresh_backbone.unet.save_pretrained(work / "unet")
    (work / "unet" / "training.json").write_text(json.dumps(TRAINED))
    assert export_models(work, models) == [models / "reduced"]
    opened = load_backbone(models / "reduced")
    assert opened.scheduler.config.prediction_type == "v_prediction"
    assert json.loads((models / "reduced" / "training.json").read_text())["unet"] == TRAINED
    key = "conv_in.weight"
    assert torch.equal(opened.unet.state_dict()[key], fresh_backbone.unet.state_dict()[key].half().float())
