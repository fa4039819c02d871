"""Experiments: what a step costs, one tiny experiment from seeds to plot, and verdicts on made-up results."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ivtutorial import cli
from ivtutorial.errors import InputError
from ivtutorial.evaluation.looks import measure
from ivtutorial.lab.experiments.catalogue import EXPERIMENTS, experiment
from ivtutorial.lab.experiments.clip_sets import clip_set, spread
from ivtutorial.lab.experiments.plan import Arm, Experiment, step_cost
from ivtutorial.lab.experiments.plots import draw, shown, shown_strip
from ivtutorial.lab.experiments.results import paired, rates_tried, read_result, table
from ivtutorial.lab.experiments.runner import Conduct, run_experiment, strips, weights_hash
from ivtutorial.lab.experiments.verdicts import (
    MISSING,
    NOT,
    OPEN,
    REPRODUCED,
    RULES,
    Condition,
    decide,
    markdown,
    verdict,
    verdicts,
)
from ivtutorial.lab.experiments.vivid import vivid
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.rivals.ddpo import DDPO
from ivtutorial.rivals.draft import Draft
from ivtutorial.rivals.rwr import RWR
from ivtutorial.rivals.supervised import Supervised
from tests.tiny_models import make_models
from tests.tolerances import assert_close

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

# --- what a step costs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "cost"),
    [
        (InstructVideo(), 2 * (11 + 3)),
        (InstructVideo(K=12), 2 * 12 * 3),
        (InstructVideo(K=(0, 5), guidance=1.0), 10 + 2 * 3),
        (Draft(), 2 * (19 + 3)),
        (Draft(variants=2), 2 * (19 + 3 + 6)),
        (Draft(K="uniform", D=5), 2 * (2 + 3 * 3)),
        (RWR(group=2, inner_updates=3, draws=2), 2 * (40 + 18)),
        (DDPO(group=2, inner_updates=1, recompute=False), 2 * 2 * (20 + 60)),
        (DDPO(group=2, inner_updates=2, K=(1, 2)), 2 * 2 * (20 + 4 * 2 * 2)),
        (Supervised(draws=2), 6),
    ],
)
def test_passes_of_a_step_by_hand(method: Any, cost: int) -> None:
    """A pass without gradient 1, with gradient 3, recomputed 4; guidance doubles, a group multiplies."""
    assert step_cost(Arm("a", method)) == cost
    assert step_cost(Arm("a", method, data_weight=1.0)) == cost + 3
    assert step_cost(Arm("a", method, kl_weight=1.0)) == cost + 8


def test_arms_of_one_budget_take_as_many_steps_as_fit() -> None:
    """8000 passes: 8000 / (4 * 28) = 71.4 steps of InstructVideo, rounded to a multiple of 3 points: 72."""
    arm = Arm("a", budget=8000)
    assert arm.steps(3) == 72 and replace(arm, budget=1).steps(3) == 3
    config = arm.finetuning(2, seed=5, lr=1e-3, points=3)
    assert (config.steps, config.batch_size, config.checkpoint_every, config.keep, config.seed) == (72, 2, 24, 3, 5)
    with pytest.raises(InputError, match="4 captions a step"):
        arm.finetuning(3, 0, 1e-3, 1)


def test_runs_are_shared_by_what_decides_them() -> None:
    """Name and scale at evaluation do not change a run; the method, the clips and the models do."""
    arm = Arm("a")
    assert arm.key("w") == replace(arm, name="b", lora_scale=0.5).key("w")
    assert experiment("fig5a").arms[0].key() == experiment("fig9").arms[0].key(), "the rate is in the run's own name"
    others = [replace(arm, method=InstructVideo(tau=0.5)), replace(arm, method=Draft()), replace(arm, clips="clean")]
    assert len({one.key("w") for one in (arm, *others)} | {arm.key("v")}) == 5


# --- the catalogue ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("quick", [False, True])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_can_be_planned(name: str, quick: bool) -> None:
    """At least three seeds in full, arms of one budget that fits, plain values, and prompts that exist."""
    plan = experiment(name.upper(), quick)
    assert plan.name == name and plan.quick == quick and json.dumps(plan.to_dict())
    assert quick or len(plan.seeds) >= 3
    assert len({arm.budget for arm in plan.arms}) == 1
    for arm in plan.arms:
        spent = arm.captions * step_cost(arm) * arm.steps(plan.points)
        assert 0.6 * arm.budget < spent < 1.6 * arm.budget, arm.name
        assert all(arm.captions % processes == 0 for processes in (1, 2))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_sizes(name: str) -> None:
    """Two hours on two cores are 14,400 CPU-seconds, a quarter of an hour 1,800. As measured on two cores with bfloat16
    units: a pass takes 0.085 of them, a clip of 20 steps 2.3 (0.104 and 4.1 in float32), and opening the models for a
    run or a measurement about 5."""
    for quick, limit, a_pass, a_clip in ((False, 14_400, 0.085, 2.3), (True, 1_800, 0.104, 4.1)):
        plan = experiment(name, quick)
        clips = sum(count * D / 20 for _, count, D in plan.places(end=True)) * len(plan.sample_seeds)
        along = plan.lists[0][1] * plan.D[0] / 20 * (plan.points - 1) * len(plan.sample_seeds)
        seconds = a_clip * clips
        for arm in plan.arms:
            training = a_pass * arm.budget + 5
            if len(arm.rates) > 1:
                seconds += 2 * (len(arm.rates) - 1) * training + 2 * len(arm.rates) * (a_clip * plan.tuning_prompts + 5)
            seconds += len(plan.seeds) * (training + a_clip * (clips + along) + 5 * plan.points)
        assert seconds < limit, f"{quick}: {seconds:.0f}"


def test_what_is_measured_where() -> None:
    """Along a run the first list; at its end all lists, other numbers of steps on the first list or everywhere."""
    plan = experiment("table1")
    assert plan.places(end=False) == [("in_domain", 16, 20)]
    assert plan.places() == [("in_domain", 16, 20), ("in_domain", 16, 50), ("new_animals", 16, 20), ("things", 16, 20)]
    assert len(experiment("tableA1").places()) == 6


def test_the_methods_have_equal_chances() -> None:
    arms = experiment("fig5a").arms
    assert {arm.name for arm in arms} == {"instructvideo", "draft-1", "rwr", "ddpo", "supervised"}
    assert len({(arm.rates, arm.reward, arm.clips, arm.clip_count) for arm in arms}) == 1 and len(arms[0].rates) >= 3
    assert {arm.key() for arm in arms} == {arm.key() for arm in experiment("table1").arms}, "runs are shared"


def test_an_unknown_experiment() -> None:
    with pytest.raises(InputError, match="no experiment 'fig6'"):
        experiment("fig6")
    with pytest.raises(InputError, match="names that differ"):
        Experiment("x", "", "", (Arm("a"), Arm("a")))
    with pytest.raises(InputError, match="learning rates"):
        Arm("a", rates=())


# --- clips and the second reward --------------------------------------------------------------------------------------


def test_clean_clips_show_the_same_without_faults(tmp_path: Path) -> None:
    """Three of the shipped clips and their clean twins: same captions; drawn once, then read."""
    web, clean = clip_set("web", 3, tmp_path), clip_set("clean", 3, tmp_path)
    assert [one.caption for one in web] == [one.caption for one in clean] and len(web) == 3
    made = clean[0].path.stat().st_mtime_ns
    assert clip_set("clean", 3, tmp_path)[0].path.stat().st_mtime_ns == made
    assert spread(list(range(10)), 3) == [0, 3, 6] and spread([1, 2], 9) == [1, 2]


def test_the_second_reward_is_what_the_columns_measure() -> None:
    """Of a still clip it is sharpness plus colourfulness as `measure` has them; blur and greyness lower it."""
    frame = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0), requires_grad=True)
    found = vivid(frame, ["a fox"])
    columns = measure(frame.detach()[None])
    assert_close(found.item(), (columns["sharpness"] + columns["colourfulness"]).item(), n=frame.numel())
    found.sum().backward()
    assert frame.grad is not None and frame.grad.isfinite().all() and frame.grad.abs().sum() > 0
    grey = frame.detach().mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert vivid(grey, ["a fox"]) < found
    flat = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
    vivid(flat, ["a fox"]).sum().backward()
    assert flat.grad is not None and flat.grad.isfinite().all(), "a flat frame has a gradient, too"


# --- one small experiment, whole --------------------------------------------------------------------------------------

TINY = InstructVideo(tau=0.5, D=2)
PLAN = Experiment(
    "tiny", "A tiny one", "Does it run?",
    (
        Arm("edit", TINY, budget=1, captions=1, clip_count=2, rates=(1e-2, 1e-3)),
        Arm("copy", Supervised(D=2), budget=1, captions=1, clip_count=2),
    ),
    seeds=(0, 1), lists=(("in_domain", 2), ("things", 1)), points=2, D=(2,), tuning_prompts=1,
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
    found = stored(root)
    assert set(found["base"]) == {"in_domain-2", "things-2"}
    assert found["provenance"]["versions"]["torch"] and found["plan"]["arms"][0]["cost_of_a_step"] == 6
    edit, copied = found["arms"]["edit"], found["arms"]["copy"]
    assert set(edit["tried"]) == {"0.01", "0.001"} and f"{edit['lr']:g}" == max(edit["tried"], key=edit["tried"].get)
    assert copied["tried"] == {} and copied["lr"] == 2e-3
    [line] = rates_tried(found)
    assert line.split()[0] == "edit" and f"rate {edit['lr']:g} of" in line
    assert f"0.01: {edit['tried']['0.01']:.4f}" in line
    assert [(p["seed"], p["step"]) for p in edit["curve"]] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert [p["unet_evaluations"] for p in edit["curve"]] == [2, 4, 2, 4]
    assert [p["reward_calls"] for p in edit["curve"]] == [4, 8, 4, 8]
    assert all(p["seconds"] > 0 for p in edit["curve"])


def test_changes_are_paired_and_averaged_over_seeds(root: Path) -> None:
    found = stored(root)
    change = found["arms"]["edit"]["final"]["things-2"]["reward"]
    values = found["arms"]["edit"]["values"]["things-2"]["reward"]
    before = found["base_values"]["things-2"]["reward"]
    assert change["mean"] == pytest.approx(values[0] - before[0], abs=1e-5) and len(change["by_seed"]) == 2
    assert change["after"] == pytest.approx(sum(change["by_seed"]) / 2, abs=1e-5)
    assert paired(found, "base", "edit", "reward", "things-2").mean == pytest.approx(change["mean"], abs=1e-5)
    assert paired(found, "edit", "edit", "flow").mean == 0.0
    with pytest.raises(InputError, match="no 'none'"):
        paired(found, "base", "none", "reward")


def test_the_plot_is_a_picture(root: Path) -> None:
    from PIL import Image

    with Image.open(root / "tiny" / "plot.png") as picture:
        assert picture.format == "PNG" and min(picture.size) > 300


def test_the_curve_ends_in_the_interval_of_the_change(root: Path) -> None:
    """Two arms in four panels; each error bar spans the paired 95 % interval around the untouched model's mean."""
    found = stored(root)
    figure = draw(found)
    assert len(figure.axes) == 4
    low, high = sorted(figure.axes[0].containers[0].lines[2][0].get_segments()[0][:, 1])
    change, before = found["arms"]["edit"]["final"]["in_domain-2"]["reward"], found["base"]["in_domain-2"]["reward"]
    assert low == pytest.approx(before["mean"] + change["low"], abs=1e-5)
    assert high == pytest.approx(before["mean"] + change["high"], abs=1e-5)


def test_a_result_on_a_page(root: Path) -> None:
    """As a picture with its words, as a table, and as a command where there is none."""
    folder = root / "pages"
    folder.mkdir(exist_ok=True)
    (folder / "tiny-quick.json").write_text(json.dumps(stored(root)))
    assert 'alt="two lines"' in shown("tiny", "two lines", folder) and "data:image/webp" in shown("tiny", "a", folder)
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
    assert again["arms"]["edit"]["values"] == before["arms"]["edit"]["values"]
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
        assert [list(clips) for _, clips in rows] == [["untouched", *labels]] * 3
        assert all(np.asarray(clip).shape == (16, 64, 64, 3) for _, clips in rows for clip in clips.values())
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
    found = run_experiment(replace(plan, lists=(("things", 2),)), tmp_path, processes=2, models=models, progress=False)
    assert len(list((tmp_path / "runs").glob("instructvideo-*"))) == 1
    full, half = (found["arms"][name] for name in ("edit", "half"))
    assert full["curve"][0]["unet_evaluations"] == 4 == half["curve"][0]["unet_evaluations"]
    assert len(full["values"]["things-2"]["reward"]) == 2 and full["values"] != half["values"]


def test_half_precision_is_another_run_that_finds_nearly_the_same(models: Path, tmp_path: Path) -> None:
    """bfloat16 keeps 8 bits: rewards of untouched and tuned samples agree to 0.02."""
    plan = replace(PLAN, arms=(replace(PLAN.arms[0], rates=(1e-2,)),), seeds=(0,))
    found = {p: run_experiment(plan, tmp_path, models=models, progress=False, precision=p) for p in ("fp32", "bf16")}
    assert {name: one["precision"] for name, one in found.items()} == {"fp32": "fp32", "bf16": "bf16"}
    assert len(list((tmp_path / "runs").glob("instructvideo-*"))) == 2 == len(list((tmp_path / "runs").glob("base-*")))
    for pick in (lambda r: r["base_values"], lambda r: r["arms"]["edit"]["values"]):
        one, other = (pick(found[p])["in_domain-2"]["reward"] for p in ("fp32", "bf16"))
        assert one != other and one == pytest.approx(other, abs=0.02)
    with pytest.raises(InputError, match="'no' or 'bf16'"):
        run_experiment(plan, tmp_path, models=models, progress=False, precision="fp16")


def test_no_models_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no models in"):
        run_experiment(PLAN, tmp_path, models=tmp_path, progress=False)


# --- verdicts ---------------------------------------------------------------------------------------------------------


def made_up(arms: dict[str, float], columns: Sequence[str] = ("reward",), slope: float = 1.0) -> dict[str, Any]:
    """A result in which every column of an arm lies so far above the untouched model's, for each of eight prompts."""
    base = {c: [float(k) for k in range(8)] for c in columns}

    def arm(shift: float) -> dict[str, Any]:
        curve = [
            {
                "seed": s,
                "step": x,
                "unet_evaluations": x,
                "seconds": float(x),
                **dict.fromkeys(columns, 3.5 + shift * y),
            }
            for s in range(3)
            for x, y in ((1, slope / 2), (2, slope))
        ]
        return {"curve": curve, "values": {"in_domain-50": {c: [v + shift for v in base[c]] for c in columns}}}

    return {
        "quick": False,
        "base": {"in_domain-50": {c: {"mean": 3.5} for c in columns}},
        "base_values": {"in_domain-50": base},
        "arms": {name: arm(shift) for name, shift in arms.items()},
        "data": {"web": {"mean": 0.0}},
    }


def written(folder: Path, **results: dict[str, Any]) -> dict[int, Any]:
    for name, content in results.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {one.number: one for one in verdicts(folder)}


def test_without_results_nothing_is_measured(tmp_path: Path) -> None:
    found = written(tmp_path)
    assert sorted(found) == list(range(1, 10)) and {one.verdict for one in found.values()} == {MISSING}
    assert markdown(list(found.values())).count("not yet measured") == 9


def test_one_claim_in_words(tmp_path: Path) -> None:
    (tmp_path / "fig5c.json").write_text(json.dumps(made_up({"lambda-0.5": 1.0, "lambda-1.0": 2.0, "lambda-2.0": 1.5})))
    told = str(verdict(3, tmp_path)).splitlines()
    assert told[0].startswith("Claim 3 (Fig. 5c)") and told[1].endswith(": reproduced") and len(told) == 4
    assert verdict(4, tmp_path).verdict == MISSING
    with pytest.raises(InputError, match="claim 10: expected a number from 1 to 9"):
        verdict(10, tmp_path)


def test_the_best_steepness(tmp_path: Path) -> None:
    """Claim 3: lambda 1 above both others; below one of them it is refuted; equal to one it is open."""
    arms = {"lambda-0.5": 1.0, "lambda-1.0": 2.0, "lambda-2.0": 1.5}
    for best, expected in ((2.0, REPRODUCED), (1.2, NOT), (1.5, OPEN)):
        found = written(tmp_path, fig5c=made_up({**arms, "lambda-1.0": best}))
        assert found[3].verdict == expected and len(found[3].evidence) == 2


def test_more_than_one_experiment_may_be_needed(tmp_path: Path) -> None:
    """Claim 7 stays unmeasured until both are there; D = 50 gains as much a second, which leaves it open."""
    table = made_up({"instructvideo": 1.0})
    assert written(tmp_path, tableA1=table)[7].verdict == MISSING
    assert written(tmp_path, figA1=made_up({"tuned-D20": 1.0, "tuned-D50": 1.0}))[7].verdict == OPEN
    assert written(tmp_path, figA1=made_up({"tuned-D20": 2.0, "tuned-D50": 1.0}))[7].verdict == REPRODUCED


def test_every_rule_reads_the_arms_of_its_experiment(tmp_path: Path) -> None:
    """Results with the arms and columns that the catalogue plans: no rule asks for anything else."""
    columns = ("reward", "warp_error", "flicker", "travel_error", "sharpness", "colourfulness", "watermark", "subject")
    names = {name for rule in RULES for name in rule.needs}
    arms = {name: {arm.name: 1.0 for arm in experiment(name).arms} for name in names}
    found = written(tmp_path, **{name: made_up(arms[name], columns) for name in names})
    assert MISSING not in {one.verdict for one in found.values()} and all(one.evidence for one in found.values())
    assert set(names) <= set(EXPERIMENTS)


def test_few_seeds_decide_nothing_about_the_course_of_a_run(tmp_path: Path) -> None:
    content = made_up({"tuned-D20": 2.0, "tuned-D50": 1.0})
    for arm in content["arms"].values():
        arm["curve"] = [point for point in arm["curve"] if point["seed"] < 2]
    content["quick"] = True
    found = written(tmp_path, tableA1=made_up({"instructvideo": 1.0}), **{"figA1-quick": content})
    assert found[7].verdict == OPEN and "quick version of figA1" in found[7].evidence[-1]


def test_how_conditions_decide() -> None:
    yes, no, open_ = Condition("a", 0.1, 0.2, 0.3), Condition("b", -2.0, -1.0, -0.5), Condition("c", -1.0, 0.5, 1.0)
    assert [one.holds for one in (yes, no, open_)] == [True, False, None]
    assert decide([yes, yes]) == REPRODUCED and decide([yes, open_]) == OPEN and decide([no, open_, yes]) == NOT
    assert str(yes) == "a: yes (+0.20, +0.10 to +0.30)" and Condition("d", -math.inf, 0, math.inf).holds is None
    assert str(Condition("e", 1.28e-5, 4.81e-5, 8.31e-5)) == "e: yes (+0.000048, +0.000013 to +0.000083)"
    assert "+0.030, +0.018 to +0.044" in str(Condition("f", 0.01761, 0.03019, 0.04352))
    assert "+12, -40 to +70" in str(Condition("g", -40.2, 12.3, 70.4))


def test_a_file_that_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "fig5c.json").write_text("{}")
    with pytest.raises(InputError, match="not the result of an experiment"):
        verdicts(tmp_path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["experiment", "verdicts", "--results", str(tmp_path), "--json"])
    assert ended.value.code == 0
    assert [one["number"] for one in json.loads(capsys.readouterr().out)["claims"]] == list(range(1, 10))
    with pytest.raises(SystemExit) as ended:
        cli.main(["experiment", "fig6"])
    assert ended.value.code == 2 and "there are fig5a" in capsys.readouterr().err
