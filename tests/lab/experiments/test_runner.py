"""One tiny experiment, from seeds to the plot."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import two_way
from ivtutorial.lab.experiments.answers.plots import draw, shown, shown_strip
from ivtutorial.lab.experiments.answers.results import paired, rates_tried, read_result, table
from ivtutorial.lab.experiments.measuring import Conduct, strips
from ivtutorial.lab.experiments.plans.plan import Arm, Experiment
from ivtutorial.lab.experiments.runner import rows_in_lines, run_experiment
from ivtutorial.lab.experiments.whole_plan import run_plan
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.supervised import Supervised
from ivtutorial.weights.fingerprint import weights_hash
from tests.tiny_models import make_models

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone


TINY = InstructVideo(tau=0.5, D=2)
PLAN = Experiment(
    "tiny", "A tiny one", "Does it run?",
    (
        Arm("edit", TINY, budget=1, captions=1, clip_count=2, rates=(1e-2, 1e-3), frame_passes=0.0),
        Arm("copy", Supervised(D=2), budget=1, captions=1, clip_count=2, frame_passes=0.0),
    ),
    seeds=(0, 1), lists=(("in_domain", 2), ("things", 1)), points=2, D=(2,), tuning_prompts=1, tuning_seeds=(8, 9),
    columns=("reward", "flow"),
)  # fmt: skip


@pytest.fixture(scope="module")
def models(tiny_backbone: Backbone, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"), tiny_backbone, tiny_tokenizer)


@pytest.fixture(scope="module")
def root(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("experiments")
    run_experiment(PLAN, out, models=models, progress=False)
    return out


def stored(root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((root / "tiny" / "result.json").read_text())
    return content


def test_the_result_holds_everything(root: Path) -> None:
    result = stored(root)
    assert set(result["base"]) == {"in_domain-2", "things-2"}
    assert result["provenance"]["versions"]["torch"] and result["plan"]["arms"][0]["cost_of_a_step"] == 6
    edit, copied = result["arms"]["edit"], result["arms"]["copy"]
    assert set(edit["tried"]) == {"0.01", "0.001"} and f"{edit['lr']:g}" == max(edit["tried"], key=edit["tried"].get)
    assert copied["tried"] == {} and copied["lr"] == 2e-3
    [line] = rates_tried(result)
    assert line.split()[0] == "edit" and f"rate {edit['lr']:g} of" in line
    assert f"0.01: {edit['tried']['0.01']:.4f}" in line
    assert [(p["seed"], p["step"]) for p in edit["curve"]] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [p["unet_evaluations"] for p in edit["curve"]] == [2, 4, 2, 4]
    assert [p["reward_calls"] for p in edit["curve"]] == [4, 8, 4, 8]
    assert all(p["seconds"] > 0 for p in edit["curve"])


def test_the_plan_says_by_which_column_rates_are_chosen(root: Path, models: Path) -> None:
    """Runs are shared with the plan that chose by reward: only the choice differs."""
    [tuned, *_] = PLAN.arms
    looked = stored(root)["arms"][tuned.name]["looked"]
    best = {column: max(looked, key=lambda rate: looked[rate][column]) for column in looked["0.01"]}
    other = next(column for column, rate in best.items() if rate != best["reward"])  # which makes the choice differ
    for column in ("reward", other):
        plan = replace(PLAN, name=column, arms=(tuned,), seeds=PLAN.seeds[:1], tuned_by=column)
        arm = run_experiment(plan, root, models=models, progress=False)["arms"][tuned.name]
        assert arm["looked"] == looked and f"{arm['lr']:g}" == best[column]


def test_values_are_kept_by_run_and_prompt(root: Path) -> None:
    """A row a seed; changes are from the untouched model, with an interval over both; the last moment is the end."""
    result = stored(root)
    edit = result["arms"]["edit"]
    rows, before = np.array(edit["by_run"]["in_domain-2"]["reward"]), result["base_values"]["in_domain-2"]["reward"]
    assert rows.shape == (2, 2) and edit["seeds"] == [0, 1] and result["own_prompts"] == []
    change = edit["final"]["in_domain-2"]["reward"]
    assert change["mean"] == pytest.approx((rows - before).mean(), abs=1e-4)
    assert change["by_seed"] == pytest.approx(rows.mean(axis=1).tolist(), abs=1e-4)
    both = two_way((rows - before).tolist())
    assert (change["low"], change["high"]) == pytest.approx((both.low, both.high), rel=0.05, abs=1e-3)
    assert [moment["share"] for moment in edit["moments"]] == [0.5, 1.0]
    assert edit["moments"][-1]["by_run"] == edit["by_run"]["in_domain-2"]
    assert [moment["passes"] for moment in edit["moments"]] == [6, 12] and len(edit["moments"][0]["seconds"]) == 2
    assert set(edit["looked"]) == set(edit["tried"])
    assert edit["looked"]["0.01"]["reward"] == pytest.approx(edit["tried"]["0.01"], abs=1e-5)
    assert paired(result, "edit", "edit", "flow").mean == 0.0
    with pytest.raises(InputError, match="no 'none'"):
        paired(result, "base", "none", "reward")


def test_each_run_may_have_prompts_of_its_own(models: Path, tmp_path: Path) -> None:
    """Two panels of two prompts: the untouched model is measured on both, each run is compared with it on its own."""
    arm = Arm("edit", TINY, budget=1, captions=2, clip_count=2)
    lists = (("in_domain", 2), ("clips", 1))
    plan = replace(PLAN, arms=(arm, replace(arm, name="few", runs=1)), panels=2, points=1, lists=lists)
    result = run_experiment(plan, tmp_path, models=models, progress=False)
    assert result["own_prompts"] == ["in_domain-2"] and np.shape(result["base_values"]["in_domain-2"]["reward"]) == (
        2,
        2,
    )
    assert np.shape(result["base_values"]["clips-2"]["reward"]) == (1,)
    folders = {path.name for path in next((tmp_path / "runs").glob("base-*")).iterdir()}
    assert folders == {"in_domain-panel0of2-2x1-D2", "in_domain-panel1of2-2x1-D2", "clips-1x1-D2"}
    edit, few = result["arms"]["edit"], result["arms"]["few"]
    assert edit["seeds"] == [0, 1] and few["seeds"] == [0]
    rows = np.array(edit["by_run"]["in_domain-2"]["reward"]) - np.array(result["base_values"]["in_domain-2"]["reward"])
    assert edit["final"]["in_domain-2"]["reward"]["mean"] == pytest.approx(rows.mean(), abs=1e-4)
    assert few["by_run"]["in_domain-2"]["reward"] == edit["by_run"]["in_domain-2"]["reward"][:1], "one run, shared"
    assert set(result["data_values"]["clips-2"]["web"]) >= {"reward"}


def test_a_plan_goes_on_from_day_to_day(models: Path, tmp_path: Path) -> None:
    """No time, no run and no file; with time all runs; further runs are added to what is there."""
    arm = Arm("edit", TINY, budget=1, captions=2, clip_count=2)
    plan = replace(PLAN, arms=(arm,), points=1, lists=(("in_domain", 2),), seeds=(0,))
    assert run_experiment(plan, tmp_path, models=models, progress=False, until=0.0) == {}
    assert not (tmp_path / "tiny").exists()
    first = run_experiment(plan, tmp_path, models=models, progress=False)
    more = run_experiment(replace(plan, seeds=(0, 1)), tmp_path, models=models, progress=False)
    assert (
        more["arms"]["edit"]["by_run"]["in_domain-2"]["reward"][0]
        == first["arms"]["edit"]["by_run"]["in_domain-2"]["reward"][0]
    )
    assert more["arms"]["edit"]["seeds"] == [0, 1]
    with pytest.raises(InputError, match="hours = 0"):
        run_plan(tmp_path, 0)
    assert run_plan(tmp_path, 1.0, models=models, blocks=()) == []


def test_rows_of_numbers_stand_on_a_line() -> None:
    content = {"a": [[1.0, 2.5], [3.0, 4.0]], "b": ["x y", "z"], "c": {"d": []}}
    text = rows_in_lines(content)
    assert json.loads(text) == content and "[1.0, 2.5]" in text


def test_rates_beyond_the_edge_are_tried_on_seeds_of_their_own(models: Path, tmp_path: Path) -> None:
    """Of two rates one is at the edge whichever is best: one more is tried beside it; memory is counted."""
    arm = Arm("edit", TINY, budget=1, captions=2, clip_count=2, rates=(1e-3, 1e-2), frame_passes=0.5)
    lists = (("things", 1),)
    plan = replace(
        PLAN, arms=(arm,), seeds=(0,), tuning_seeds=(7,), widen=1, points=2, measured=(2,), lists=lists, peak=True
    )
    result = run_experiment(plan, tmp_path, models=models, progress=False)["arms"]["edit"]
    assert len(result["tried"]) == 3 and set(result["tried"]) - {"0.001", "0.01"} <= {"0.0001", "0.1"}
    folders = {path.name for path in (tmp_path / "runs").glob("instructvideo-*/*")}
    assert {f"{rate}-seed-7" for rate in result["tried"]} <= folders and f"{result['lr']:g}-seed-0" in folders
    assert len(result["curve"]) == 1 and result["curve"][0]["step"] == 2 and result["peak_mb"] > 0.1
    assert result["moments"][0]["passes"] == 2 * 2 * (6 + 0.5 * 4)


def test_the_plot_is_a_picture(root: Path) -> None:
    from PIL import Image

    with Image.open(root / "tiny" / "plot.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_the_curve_ends_in_the_interval_of_the_change(root: Path) -> None:
    """Two columns in two panels; each error bar spans the 95 % interval of the change from the untouched model."""
    result = stored(root)
    figure = draw(result)
    assert len(figure.axes) == 2
    low, high = sorted(figure.axes[0].containers[0].lines[2][0].get_segments()[0][:, 1])
    change = result["arms"]["edit"]["final"]["in_domain-2"]["reward"]
    assert (low, high) == pytest.approx((change["low"], change["high"]), abs=1e-5)


def test_a_result_on_a_page(root: Path) -> None:
    """As a picture with its words, as a table, and as a command where there is none."""
    folder = root / "pages"
    folder.mkdir(exist_ok=True)
    (folder / "tiny-quick.json").write_text(json.dumps(stored(root)))
    assert 'alt="two lines"' in shown("tiny", "two lines", folder) and "data:image/svg+xml" in shown(
        "tiny", "a", folder
    )
    assert "ivtutorial experiment fig7 --results data/results" in shown("fig7", "bars", folder)
    assert "still to be measured" in shown_strip("tiny", "frames", folder).lower()
    (folder / "tiny-quick.png").write_bytes((root / "tiny" / "plot.png").read_bytes())
    assert 'alt="frames"' in shown_strip("tiny", "frames", folder)
    assert read_result("tiny", folder) == stored(root) and read_result("fig7", folder) is None
    lines = table(stored(root), "flow").splitlines()
    assert len(lines) == 1 + 2 + 2 * 2 and "flow" in lines[0]
    assert lines[3].split()[:2] == ["edit", "in_domain-2"] and " to " in lines[3]


def test_an_experiment_goes_on_where_it_stopped(root: Path, models: Path) -> None:
    """One measurement is lost: only that one is made again, with the same numbers."""
    kept = {path: path.stat().st_mtime_ns for path in (root / "runs").rglob("*") if path.is_file()}
    lost = next(path for path in kept if path.name == "evaluation.json" and "seed-1" in str(path))
    before = stored(root)
    lost.unlink()
    again = run_experiment(PLAN, root, models=models, progress=False)
    assert again["arms"]["edit"]["by_run"] == before["arms"]["edit"]["by_run"]
    changed = [p for p, time in kept.items() if not p.is_file() or p.stat().st_mtime_ns != time]
    assert lost in changed and all(path.is_relative_to(lost.parent) for path in changed)


def test_what_a_strip_shows(models: Path, tmp_path: Path) -> None:
    """A single arm at each of its points, several arms at their ends, each with its scale; the clips are those made."""
    arm = Arm("edit", TINY, budget=1, captions=2, clip_count=2)
    half = replace(arm, name="half", lora_scale=0.5)
    plan = replace(PLAN, arms=(arm,), seeds=(0,), points=2, D=(2,), lists=(("things", 3),), kind="strip")
    for arms, labels in (((arm,), ["step 1", "step 2"]), ((arm, half), ["edit", "half"])):
        one = replace(plan, arms=arms)
        run_experiment(one, tmp_path, models=models, progress=False)
        rows = strips(Conduct(one, tmp_path, models, {}, 1, weights_hash(models), "fp32", progress=False))
        assert [list(clips) for _, clips, _ in rows] == [["untouched", *labels]] * 3
        assert all(np.asarray(clip).shape == (16, 64, 64, 3) for _, clips, _ in rows for clip in clips.values())
        assert all(words.startswith("reward ") for _, _, numbers in rows for words in numbers.values())
    assert len({np.asarray(clip).tobytes() for clip in rows[0][1].values()}) == 3


def test_strip_and_bars(root: Path, models: Path) -> None:
    """The same runs drawn otherwise; nothing is trained again."""
    runs = sorted(path.name for path in (root / "runs").iterdir())
    for kind in ("strip", "bars"):
        run_experiment(replace(PLAN, kind=kind), root, models=models, progress=False)  # type: ignore[arg-type]
        assert (root / "tiny" / "plot.png").stat().st_size > 5000
    assert sorted(path.name for path in (root / "runs").iterdir()) == runs


def test_two_processes_walk_through_it_together(models: Path, tmp_path: Path) -> None:
    """As the command does on two cores; two arms that differ in name and scale alone share one run."""
    arm = Arm("edit", TINY, budget=1, captions=2, clip_count=2)
    plan = replace(PLAN, arms=(arm, replace(arm, name="half", lora_scale=0.5)), seeds=(0,), points=1, D=(2,))
    result = run_experiment(replace(plan, lists=(("things", 2),)), tmp_path, processes=2, models=models, progress=False)
    assert len(list((tmp_path / "runs").glob("instructvideo-*"))) == 1
    full, half = (result["arms"][name] for name in ("edit", "half"))
    assert full["curve"][0]["unet_evaluations"] == 4 == half["curve"][0]["unet_evaluations"]
    assert np.shape(full["by_run"]["things-2"]["reward"]) == (1, 2) and full["by_run"] != half["by_run"]
    alone = run_experiment(replace(plan, lists=(("things", 2),)), tmp_path, processes=1, models=models, progress=False)
    assert alone["arms"]["edit"]["by_run"] == full["by_run"], "a run is named by its seed, not by the processes"


def test_half_precision_is_another_run_that_finds_nearly_the_same(models: Path, tmp_path: Path) -> None:
    """bfloat16 keeps 8 bits: rewards of untouched and tuned samples agree to 0.02."""
    plan = replace(PLAN, arms=(replace(PLAN.arms[0], rates=(1e-2,)),), seeds=(0,))
    result = {p: run_experiment(plan, tmp_path, models=models, progress=False, precision=p) for p in ("fp32", "bf16")}
    assert {name: one["precision"] for name, one in result.items()} == {"fp32": "fp32", "bf16": "bf16"}
    assert len(list((tmp_path / "runs").glob("instructvideo-*"))) == 2 == len(list((tmp_path / "runs").glob("base-*")))
    for pick in (lambda r: r["base_values"], lambda r: r["arms"]["edit"]["by_run"]):
        full, half = (np.ravel(pick(result[p])["in_domain-2"]["reward"]) for p in ("fp32", "bf16"))
        assert not np.array_equal(full, half) and full == pytest.approx(half, abs=0.02)
    with pytest.raises(InputError, match="'fp32' or 'bf16'"):
        run_experiment(plan, tmp_path, models=models, progress=False, precision="fp16")


def test_no_models_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no models in"):
        run_experiment(PLAN, tmp_path, models=tmp_path, progress=False)
