"""The measurements of the reduced models: each gives the known answer for a model whose quality is known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ivtutorial.data.prompts import Prompt
from ivtutorial.errors import InputError
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.reduced_models.measuring import cards, models as measure, reward as measure_reward
from ivtutorial.lab.reduced_models.measuring.models import MeasureConfig, fresh_clips
from ivtutorial.lab.world.judges.judge import READINGS
from ivtutorial.system.files import data_path

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
    result = measure.measure_judge(PerfectJudge(), SMALL)  # type: ignore[arg-type]
    assert all(
        result[quality][name]["mean"] == 1 and result[quality][name]["n"] == 3
        for quality in result
        for name in READINGS
    )


def test_psnr_and_colour_error_by_hand() -> None:
    """An autoencoder that makes red 0.1 too strong: MSE 0.01 / 3, 24.77 dB, chroma off by 0.0169, 0.05."""

    def decode_clips(latents: Tensor) -> Tensor:
        red = torch.zeros(1, 1, 3, 1, 1)
        red[:, :, 0] = 0.1
        return latents + red

    model = SimpleNamespace(encode=lambda clips: clips, decode_clips=decode_clips)
    result = measure.measure_vae(model, PerfectJudge(), MeasureConfig(clips=1))  # type: ignore[arg-type]
    assert result["clean"]["psnr"] == pytest.approx(24.77, abs=0.01)
    assert result["clean"]["colour_error"] == pytest.approx((0.0169 + 0.05) / 2, rel=1e-4)
    assert result["web"]["reconstruction"]["subject"]["mean"] == 1


def test_watermarks_are_counted_above_one_half() -> None:
    names = ("sharpness", "colourfulness", "blur", "wash", "noise", "flicker", "motion")
    same = {"prompt": "p", "seed": 0, "clip": "", "reward": 0.0, **dict.fromkeys(names, 0.5)}
    rows = [{"index": k, **same, "watermark": w} for k, w in enumerate((0.1, 0.5, 0.6, 0.9))]
    result = measure.measure_faults(Evaluation(rows, {}), [Prompt("a fox", FACTS)])
    assert result["watermark_share"] == 0.5
    assert result["samples"]["sharpness"] == 0.5 and result["clean"]["sharpness"] > 0


@pytest.mark.parametrize("name", ["clips", "prompts", "seeds", "pairs"])
def test_something_must_be_measured(name: str) -> None:
    with pytest.raises(InputError, match="positive"):
        MeasureConfig(**{name: 0})
    with pytest.raises(InputError, match="sampled_pairs must be 0 or more"):
        MeasureConfig(sampled_pairs=-1)


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

    result = measure_reward.measure_reward(oracle, pairs=12)
    assert [result[kind]["mean"] for kind in ("clean_over_web", "quality", "content")] == [1, 1, 1]
    assert result["caption"]["mean"] == 0, "it does not look at captions"
    assert result["content"]["n"] == result["caption"]["n"] == 12 > result["clean_over_web"]["n"] > 0
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


def test_on_samples_the_judges_agreement_is_the_truth(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Renders stand in for samples; the judges' readings are the truth. The reward tells renders apart, and wherever
    the judges disagree, a pair does not count."""
    from ivtutorial.lab.reduced_models.viewers.pairs import KEPT, SampledPairs, asked_pair

    def fill(*args: Any, **options: Any) -> None:
        folder, count, seed = args[3], args[4], args[6]
        bank = SampledPairs(folder, count, seed, held_out=True)
        for k in range(count):
            asked = asked_pair(k, seed, held_out=True)
            for side, facts in enumerate((asked.facts, asked.other)):
                pixels = measure.world.render(facts, measure.subject(facts.subject), frames=KEPT)
                bank.frames[k, side] = (pixels * 255).round().astype(np.uint8)
                bank.utility[k, side] = 3.0 - 2 * side
                bank.subject[k, side] = facts.subject == asked.facts.subject
            if k >= 9:
                bank.utility[k, 0, 1], bank.subject[k, 1, 1] = -3.0, 1

    monkeypatch.setattr(measure_reward, "launch", fill)
    (tmp_path / "reward").symlink_to(data_path("models", "reward"))
    result = measure_reward.measure_on_samples(tmp_path, 12)
    assert result["sampled"] == 12 and result["agreed"]["n"] == 9
    assert result["right_over_wrong"]["n"] == 6, "in two of three pairs the subject differs"
    assert result["right_over_wrong"]["mean"] > 0.8 and result["agreed"]["mean"] > 0.7


# --- cards and export ---------------------------------------------------------------------------------


def estimate(mean: float) -> dict[str, float]:
    return {"mean": mean, "std": 0.1, "low": mean - 0.01, "high": mean + 0.01, "n": 100}


def results(species: float = 0.97) -> dict[str, Any]:
    read = {name: estimate(0.99) for name in READINGS}
    vae = {"psnr": 29.31, "colour_error": 0.0123, "original": read, "reconstruction": read}
    frames = {"db": 31.27, "db_subject": 25.5, "db_rest": 33.0, "sharpness": 0.87}
    return {
        "judge": {"clean": read, "web": read},
        "vae": {"clean": vae, "web": vae, "clean_frames": frames},
        "size": {"weights_mb": 33.2},
        "reward": {kind: estimate(0.97) for kind in ("clean_over_web", "quality", "content", "caption")},
        "samples": {name: {**read, "subject_both": estimate(species)} for name in ("seen", "unseen")},
        "faults": {
            "watermark_share": 0.4,
            "samples": {"sharpness": 0.3, "colourfulness": 0.1},
            "clean": {"sharpness": 0.3, "colourfulness": 0.15},
        },
        "settings": {"clips": 510, "prompts": 90, "seeds": 4, "D": 20, "guidance": 3.0, "pairs": 1000},
        "provenance": {"date": "2024-01-02", "hardware": "a machine", "seed": 0},
    }


TRAINED = {
    "finished": "2024-01-01T10:00:00+00:00", "processes": 2, "core_seconds": 9000.0, "seconds": 5400.0, "steps": 6000,
    "batch": 10, "hardware": "two cores",
}  # fmt: skip


def test_cards_say_how_a_model_was_trained_and_what_was_measured(tmp_path: Path) -> None:
    """9000 core-seconds are 2.5 core-hours, 5400 seconds 1.5 hours."""
    for name in ("reduced", "reward", "judge", "features"):
        (tmp_path / name).mkdir()
    (tmp_path / "reduced" / "training.json").write_text(json.dumps({"autoencoder": TRAINED}))
    (tmp_path / "judge" / "training.json").write_text(json.dumps({"judge": {**TRAINED, "started_from": {}}}))
    (tmp_path / "features" / "training.json").write_text(json.dumps({**TRAINED, "stage": "features"}))
    paths = cards.write_cards(tmp_path, results())
    texts = {path.parent.name: path.read_text(encoding="utf-8") for path in paths}
    assert set(texts) == {"reduced", "reward", "judge", "features"}
    assert "| autoencoder | 6000 | 10 | 2.50 | 1.50 | 2 | 2024-01-01 |" in texts["reduced"]
    assert "On two cores." in texts["reduced"] and "No record" in texts["reward"]
    assert "to both judges | 0.970 (0.960 to 0.980) | 0.95 | 0.98 |" in texts["reduced"]
    assert "| autoencoder, clean frames, PSNR in dB | 31.3 | 29.0 | 32.0 |" in texts["reduced"]
    assert "0.0123" in texts["reduced"] and "sharpness 0.300 beside 0.300" in texts["reduced"]
    assert "watermark in 40% of the samples" in texts["reduced"]
    assert "an earlier training" in texts["judge"] and "an earlier training" not in texts["reduced"]
    assert "| features | 6000 | 10 | 2.50 |" in texts["features"]
    assert "Measured" not in texts["features"] and "artefacts" in texts["features"]


def test_a_missed_bar_is_said(tmp_path: Path) -> None:
    (tmp_path / "reduced").mkdir()
    (path,) = cards.write_cards(tmp_path, results(species=0.93))
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if "missed" in line]
    assert lines == [
        "| samples, known combinations: species, to both judges | 0.930 (0.920 to 0.940) | 0.95 (missed) | 0.98 |"
    ]
    assert sum(line.endswith("MISSED") for line in cards.summary_lines(results(species=0.93))) == 1
    too_large = {**results(), "size": {"weights_mb": 41.0}}
    assert sum(line.endswith("MISSED") for line in cards.summary_lines(too_large)) == 1


def test_what_needs_a_second_judge_is_left_out_without_one() -> None:
    one = results()
    one["samples"] = {
        name: {k: v for k, v in row.items() if k != "subject_both"} for name, row in one["samples"].items()
    }
    labels = "\n".join(cards.summary_lines(one))
    assert "to both judges" not in labels and "right species to a wrong one" not in labels
    two = {**results(), "judge_2": one["judge"], "pairs": {"right_over_wrong": estimate(0.9)}}
    assert len(cards.summary_lines(two)) == len(cards.summary_lines(one)) + 5


def test_incomplete_measurements_are_named(tmp_path: Path) -> None:
    (tmp_path / "judge").mkdir()
    with pytest.raises(InputError, match="judge/clean/subject"):
        cards.write_cards(tmp_path, {"judge": {}})
    with pytest.raises(InputError, match="no model"):
        cards.write_cards(tmp_path / "none", results())


# --- everything -------------------------------------------------------------------------------------


def test_the_shipped_models_are_measured_from_end_to_end(tmp_path: Path) -> None:
    """Every section of the module's table is there and written; shares are shares, and a drawn clip is read rightly."""
    config = MeasureConfig(clips=2, prompts=1, seeds=1, D=2, pairs=4, sampled_pairs=2)
    results = measure.measure_models(data_path("models"), tmp_path / "measured.json", config, progress=False)
    sections = {"judge", "judge_2", "vae", "samples", "faults", "reward", "pairs", "size", "settings", "provenance"}
    assert set(results) == sections
    assert json.loads((tmp_path / "measured.json").read_text()) == json.loads(json.dumps(results))
    assert all(0 <= results["samples"][which]["subject"]["mean"] <= 1 for which in ("seen", "unseen"))
    assert results["judge"]["clean"]["scene"]["mean"] == 1 and results["vae"]["clean_frames"]["db"] > 25
