"""The main job on tiny random models: what it writes, what it takes up again, and what its numbers mean."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ivtutorial.data.prompts import spread
from ivtutorial.errors import InputError
from ivtutorial.lab.demo.config import DemoConfig
from ivtutorial.lab.demo.run import demo_prompts, measure_or_read, run_demo
from ivtutorial.lab.world.clip_set import make_clips
from tests.tiny_models import make_models

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

SMALL = DemoConfig(K=1, steps=2, D=2, lr=1e-2, clips_per_step=2, prompts=2, shown=2, probes=1, probe_rounds=1)
READ = ["subject", "colour", "scene", "movement", "action", "watermark", "blur", "wash"]
JUDGED = [*READ, "sharpness", "colourfulness", "flicker"]


@pytest.fixture(scope="module")
def models(tiny_backbone: Backbone, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"), tiny_backbone, tiny_tokenizer)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    make_clips(folder, per_species=1, species=("fox", "deer"))
    return folder


@pytest.fixture(scope="module")
def run(models: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    def start(out: Path, config: DemoConfig = SMALL, models: Path = models) -> dict[str, Any]:
        return run_demo(out, config, models, clips, progress=False)

    return start


@pytest.fixture(scope="module")
def done(run: Callable[..., dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("demo")
    return out, run(out)


def rewards(out: Path, name: str) -> list[float]:
    return [row["reward"] for row in json.loads((out / name / "evaluation.json").read_text())["rows"]]


def test_the_summary_says_what_was_measured(done: tuple[Path, dict[str, Any]]) -> None:
    out, summary = done
    before, after = rewards(out, "before"), rewards(out, "after")
    assert json.loads((out / "summary.json").read_text()) == json.loads(json.dumps(summary))
    assert summary["reward_before"] == pytest.approx(sum(before) / 2)
    assert summary["reward_after"] == pytest.approx(sum(after) / 2)
    low, high = summary["ci95"]
    changes = sorted(b - a for a, b in zip(before, after, strict=True))
    assert low == pytest.approx(changes[0]) and high == pytest.approx(changes[1])  # means of 2 draws of 2 pairs
    assert list(summary["judge_before"]) == JUDGED == list(summary["judge_after"])
    truth = [json.loads((out / name / "evaluation.json").read_text())["rows"] for name in ("before", "after")]
    u, v = (np.array([row["utility"] for row in rows]) for rows in truth)
    assert summary["utility"]["after"] - summary["utility"]["before"] == pytest.approx((v - u).mean())
    assert summary["preferred"]["share"] == pytest.approx((1 / (1 + np.exp(u - v))).mean())
    assert {"motion_before", "motion_after", "seconds_per_step", "peak_rss_mb", "versions"} <= set(summary)
    assert summary["seed"] == 0 and summary["hardware"] and summary["peak_rss_mb"] > 50


def test_unet_evaluations_by_hand(done: tuple[Path, dict[str, Any]]) -> None:
    """2 steps x 2 clips x round(0.6 * 2) = 1 DDIM step x 2 passes of guidance."""
    assert done[1]["unet_evaluations"] == 2 * 2 * 1 * 2


def test_the_stronger_gradient_costs_no_more_and_shows_the_papers_beside_it(
    done: tuple[Path, dict[str, Any]],
    run: Callable[..., dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """2 steps x 2 clips x round(0.6 * 4) = 2 DDIM steps x 2 passes of guidance, as with K = 1."""
    (tmp_path / "demo_paper.json").write_text(json.dumps(done[1]))
    monkeypatch.setattr("ivtutorial.lab.demo.run.data_path", lambda *parts: tmp_path)
    summary = run(tmp_path / "demo", replace(SMALL, K="strongest", D=4))
    assert summary["unet_evaluations"] == 2 * 2 * 2 * 2
    page = (tmp_path / "demo" / "report.html").read_text(encoding="utf-8")
    rise = done[1]["utility"]["after"] - done[1]["utility"]["before"]
    assert f"moved it by {rise:+.2f}" in page and "in 2 steps;" in page and "step of largest gain" in page


def test_the_page_shows_pairs_and_what_to_do_next(done: tuple[Path, dict[str, Any]]) -> None:
    page = (done[0] / "report.html").read_text(encoding="utf-8")
    # Two prompts: the larger change and the smaller are shown large, then both once more side by side.
    assert page.count('class="film"') == 2 * 2 + 2 * SMALL.shown
    assert page.count('type="range"') == 2 + 2, "a line that wipes for each large pair, a clock for each of both rows"
    assert f"--lora {done[0] / 'run' / 'lora'}" in page and 'class="marks"><polyline' in page


def test_the_adapter_changes_the_clips(done: tuple[Path, dict[str, Any]]) -> None:
    """Same prompts, same noise: were the adapter not used, both evaluations would agree to the last bit."""
    assert rewards(done[0], "before") != rewards(done[0], "after")


def test_a_finished_demo_is_not_done_again(
    done: tuple[Path, dict[str, Any]], run: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("sampled again")

    monkeypatch.setattr("ivtutorial.lab.demo.run.evaluate", fail)
    again = run(done[0])
    assert again["reward_after"] == done[1]["reward_after"] and again["unet_evaluations"] == done[1]["unet_evaluations"]


def test_other_weights_are_measured_again(
    done: tuple[Path, dict[str, Any]], models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What was measured before counts only while weights, prompts and sampling are the same."""
    asked: list[str] = []
    monkeypatch.setattr("ivtutorial.lab.demo.run.evaluate", lambda *args, **kwargs: asked.append("measured"))
    out = tmp_path / "demo"
    shutil.copytree(done[0] / "before", out / "before")
    other = tmp_path / "models"
    shutil.copytree(models, other)
    prompts, _ = demo_prompts(SMALL)
    measure_or_read(out / "before", other, prompts, SMALL, None, 1, False)
    assert asked == []
    weights = other / "reward" / "open_clip_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    measure_or_read(out / "before", other, prompts, SMALL, None, 1, False)
    assert asked == ["measured"]


def test_other_settings_need_another_folder(
    done: tuple[Path, dict[str, Any]], run: Callable[..., dict[str, Any]]
) -> None:
    with pytest.raises(InputError, match="made otherwise"):
        run(done[0], replace(SMALL, lr=2e-2))


def test_probes_are_not_among_the_prompts() -> None:
    prompts, probes = demo_prompts(DemoConfig(probes=8))
    assert len(prompts) == 64 and len(set(probes)) == 8
    assert not {prompt.text for prompt in prompts} & set(probes)


def test_a_part_of_a_list_is_spread_over_it() -> None:
    """3 of 0 .. 6: places 0, 7 / 3 and 14 / 3, rounded down."""
    assert spread(list(range(7)), 3) == [0, 2, 4]
    assert spread([1, 2], 5) == [1, 2]


@pytest.mark.parametrize("bad", [{"prompts": 0}, {"shown": 0}, {"clips_per_step": 0}, {"probes": -1}])
def test_numbers_out_of_range_are_refused(bad: dict[str, int]) -> None:
    (name,) = bad
    with pytest.raises(InputError, match=name):
        DemoConfig(**bad)


def test_clips_must_be_shared_evenly() -> None:
    assert DemoConfig(clips_per_step=8).finetuning(2, []).batch_size == 4
    with pytest.raises(InputError, match="8 clips a step cannot be shared by 3"):
        DemoConfig(clips_per_step=8).finetuning(3, [])
