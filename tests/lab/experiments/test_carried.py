"""Runs of stored results are taken over where they are the very same, and nowhere else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.carried import carried_run, stored_results
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment
from ivtutorial.lab.experiments.runner import rows_in_lines, run_experiment
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.weights.fingerprint import weights_hash
from tests.tiny_models import make_models

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

EDIT = Arm("edit", InstructVideo(tau=0.5, D=2), budget=1, captions=1, clip_count=2, frame_passes=0.0)
PLAN = Experiment(
    "fig8", "A tiny one", "Does it run?", (EDIT,), seeds=(0, 1), lists=(("in_domain", 2), ("things", 1)),
    points=2, panels=3, D=(2,),
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tiny_backbone: Backbone, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"), tiny_backbone, tiny_tokenizer)


@pytest.fixture(scope="module")
def result(models: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_experiment(PLAN, tmp_path_factory.mktemp("first"), models=models, progress=False)


@pytest.fixture
def results(result: dict[str, Any], tmp_path: Path) -> Path:
    """A folder of results as they are committed."""
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "fig8.json").write_text(rows_in_lines(result))
    return folder


def trained(root: Path) -> list[str]:
    return sorted(path.name for path in root.glob("runs/instructvideo-*/*"))


def test_nothing_is_trained_again(result: dict[str, Any], results: Path, models: Path, tmp_path: Path) -> None:
    """On another machine, under another name: the same values, moments and costs, and where they come from."""
    plan = replace(PLAN, name="fig9", arms=(replace(EDIT, name="other", rates=EDIT.rates),))
    again = run_experiment(plan, tmp_path / "new", models=models, progress=False, results=results)
    assert trained(tmp_path / "new") == []
    first, taken = result["arms"]["edit"], again["arms"]["other"]
    for name in ("by_run", "moments", "seeds", "steps", "lr"):
        assert taken[name] == first[name], name
    for now, before in zip(taken["curve"], first["curve"], strict=True):  # means of values with five digits
        assert now == {k: v if isinstance(v, str) else pytest.approx(v, rel=1e-4, abs=1e-6) for k, v in before.items()}
    made = result["provenance"]
    source = {"experiment": "fig8", **{name: made[name] for name in ("date", "hardware", "commit")}}
    assert first["carried"] == {} and taken["carried"] == {"0": source, "1": source}
    (results / "fig8.json").unlink()
    (results / "fig9.json").write_text(rows_in_lines(again))
    third = run_experiment(PLAN, tmp_path / "third", models=models, progress=False, results=results)
    assert third["arms"]["edit"]["carried"]["1"] == source, "where it was run, not where it was read"


def test_more_runs_are_added(result: dict[str, Any], results: Path, models: Path, tmp_path: Path) -> None:
    plan = replace(PLAN, seeds=(0, 1, 2))
    more = run_experiment(plan, tmp_path / "new", models=models, progress=False, results=results)["arms"]["edit"]
    assert trained(tmp_path / "new") == ["0.002-seed-2"] and more["seeds"] == [0, 1, 2]
    assert more["by_run"]["in_domain-2"]["reward"][:2] == result["arms"]["edit"]["by_run"]["in_domain-2"]["reward"]
    assert set(more["carried"]) == {"0", "1"}


def test_what_a_strip_shows_is_run(results: Path, models: Path, tmp_path: Path) -> None:
    """Results hold no clips: the run whose frames are drawn is made here."""
    plan = replace(PLAN, kind="strip")
    run_experiment(plan, tmp_path / "new", models=models, progress=False, results=results)
    assert trained(tmp_path / "new") == ["0.002-seed-0"] and (tmp_path / "new" / "fig8" / "plot.png").is_file()


OTHERS = {
    "rate": replace(PLAN, arms=(replace(EDIT, rates=(1e-3,)),)),
    "noise level": replace(PLAN, arms=(replace(EDIT, method=InstructVideo(tau=1.0, D=2)),)),
    "clips": replace(PLAN, arms=(replace(EDIT, clips="clean"),)),
    "scale": replace(PLAN, arms=(replace(EDIT, lora_scale=0.5),)),
    "stop": replace(PLAN, arms=(replace(EDIT, patience=1),)),
    "panels": replace(PLAN, panels=4),
    "no panels": replace(PLAN, panels=0),
    "number of prompts": replace(PLAN, lists=(("in_domain", 1), ("things", 1))),
    "list": replace(PLAN, lists=(("in_domain", 2), ("new_animals", 1))),
    "steps of sampling": replace(PLAN, D=(3,)),
    "noises": replace(PLAN, sample_seeds=(0, 1)),
    "points": replace(PLAN, points=1),
    "seed": replace(PLAN, seeds=(5,)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_another_run_is_not_taken_over(name: str, result: dict[str, Any]) -> None:
    plan, seed = OTHERS[name], OTHERS[name].seeds[0]
    assert carried_run([result], PLAN, EDIT, 2e-3, 0) is not None
    assert carried_run([result], plan, plan.arms[0], plan.arms[0].rates[0], seed) is None


def test_results_of_other_weights_or_precision(result: dict[str, Any], results: Path, models: Path) -> None:
    weights = weights_hash(models)
    assert len(stored_results(results, weights, "fp32")) == 1
    assert stored_results(results, weights, "bf16") == stored_results(results, "other", "fp32") == []
    (results / "fig8.json").write_text(json.dumps({**result, "quick": True}))
    assert stored_results(results, weights, "fp32") == []
    (results / "fig8.json").write_text("{")
    with pytest.raises(InputError, match="not the result of an experiment"):
        stored_results(results, weights, "fp32")
