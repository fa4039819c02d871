"""Verdicts on made-up results."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ivtutorial import cli
from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.claims import RULES, Condition
from ivtutorial.lab.experiments.answers.verdicts import (
    MISSING,
    NOT,
    OPEN,
    REPRODUCED,
    decide,
    markdown,
    verdict,
    verdicts,
)
from ivtutorial.lab.experiments.plans.catalogue import EXPERIMENTS, experiment

if TYPE_CHECKING:
    pass


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
