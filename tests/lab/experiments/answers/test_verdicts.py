"""Questions and verdicts on made-up results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivtutorial import cli
from ivtutorial.errors import InputError
from ivtutorial.evaluation.intervals import over_runs
from ivtutorial.lab.experiments.answers.contrasts import BASE, Contrast
from ivtutorial.lab.experiments.answers.questions import Question, read_questions
from ivtutorial.lab.experiments.answers.results import paired, read_result
from ivtutorial.lab.experiments.answers.verdicts import (
    EQUIVALENT,
    MISSING,
    NOT,
    OPEN,
    REPRODUCED,
    decide,
    markdown,
    verdict,
    verdicts,
)
from ivtutorial.lab.experiments.plans.catalogue import experiment
from tests.lab.experiments.made_up import COLUMNS, made_up_result

ARMS = {"lambda-0.0": 0.0, "lambda-0.5": 0.1, "lambda-1.0": 0.4, "lambda-2.0": 0.2}


def steady(gain: float) -> dict[str, Sequence[float]]:
    return {column: [gain] * 4 for column in ("reward", "utility")}


def written(folder: Path, **results: dict[str, Any]) -> dict[int, Any]:
    for name, content in results.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return {claim.number: claim for claim in verdicts(folder)}


def contrast(mean: float, spread: float = 0.01, runs: int = 8, **settings: Any) -> Contrast:
    values = mean + spread * np.linspace(-1, 1, runs)
    return Contrast("a question", over_runs(values[:, None].tolist()), **settings)


def test_without_results_nothing_is_measured(tmp_path: Path) -> None:
    claims = written(tmp_path)
    assert sorted(claims) == list(range(1, 12)) and {claim.verdict for claim in claims.values()} == {MISSING}
    assert markdown(list(claims.values())).count("not yet measured") == 11


def test_one_claim_in_words(tmp_path: Path) -> None:
    """Lambda 1 is above all others; its runs lie as close as those of 0.5, which is equivalent to no unrest."""
    gains = {name: steady(gain) for name, gain in ARMS.items()}
    (tmp_path / "fig5c.json").write_text(json.dumps(made_up_result(gains, "fig5c")))
    lines = str(verdict(3, tmp_path)).splitlines()
    assert lines[0].startswith("Claim 3 (Fig. 5c)") and lines[1].endswith(": equivalent") and len(lines) == 7
    assert sum(": reproduced (" in line for line in lines) == 4
    assert verdict(4, tmp_path).verdict == MISSING
    with pytest.raises(InputError, match="claim 12: expected a number from 1 to 11"):
        verdict(12, tmp_path)


@pytest.mark.parametrize(("runs", "expected"), [(8, NOT), (5, MISSING)])
def test_a_claim_that_is_wrong_needs_six_runs_to_be_so(tmp_path: Path, runs: int, expected: str) -> None:
    gains = {name: steady(1 - gain) for name, gain in ARMS.items()}
    claims = written(tmp_path, fig5c=made_up_result(gains, "fig5c", runs=runs))
    assert claims[3].verdict == expected and ("6 are needed" in claims[3].evidence[0]) == (runs < 6)


def test_how_answers_decide() -> None:
    yes, no, wide = contrast(0.1), contrast(-0.1), contrast(0.0, spread=1.0)
    same = contrast(0.0, margin=0.05)
    assert [answer.word for answer in (yes, no, wide, same)] == [REPRODUCED, NOT, OPEN, EQUIVALENT]
    assert decide([yes, yes]) == REPRODUCED and decide([yes, same]) == EQUIVALENT == decide([same])
    assert decide([yes, wide]) == OPEN and decide([no, wide, yes]) == NOT
    nothing = Contrast("nothing", None)
    assert decide([yes, nothing]) == OPEN and decide([no, nothing]) == NOT
    assert decide([nothing, contrast(0.1, runs=5)]) == MISSING == decide([])


def test_one_of_many_questions_that_is_barely_wrong_does_not_decide() -> None:
    """A p value of .01 decides alone, but not beside six others: Holm asks for .025 / 7."""
    barely = next(contrast(-x, 0.05) for x in np.linspace(0, 0.1, 400) if contrast(-x, 0.05).difference.below() < 0.01)  # type: ignore[union-attr]
    wide = contrast(0.0, spread=1.0)
    assert barely.word == NOT and decide([barely]) == NOT and decide([barely, *[wide] * 6]) == OPEN


def test_results_of_averages_describe_and_do_not_decide() -> None:
    """Each question to a shipped result of the second generation is not yet measured and says why."""
    claims = {claim.number: claim for claim in verdicts("data/results")}
    for rule in read_questions():
        claim = claims[rule.number]
        for question in rule.questions:
            result = read_result(question.experiment, "data/results")
            if result is not None and not any("by_run" in arm for arm in result["arms"].values()):
                [answer] = [line for line in claim.evidence if line.startswith(question.text)]
                assert MISSING in answer and claim.verdict in (MISSING, OPEN, NOT)
    old = read_result("guards", "data/results")
    assert old is not None
    if not any("by_run" in arm for arm in old["arms"].values()):
        answer = Question("a gain", "guards", "reward", "plain").ask(old)
        assert answer.word == MISSING and answer.mean == pytest.approx(
            paired(old, BASE, "plain", "reward").mean, abs=1e-5
        )
        assert "an average of 3 older runs" in str(answer)


def test_every_question_asks_for_what_is_planned() -> None:
    """Arms of the experiment, moments that are measured, columns that exist, bounds and margins on the right side."""
    rules = read_questions()
    assert [rule.number for rule in rules] == list(range(1, 12))
    for question in (question for rule in rules for question in rule.questions):
        plan = experiment(question.experiment)
        arms = {arm.name: arm for arm in plan.arms}
        assert question.bound <= 0 and (question.margin is None or question.margin > 0), question.text
        assert question.column in (*COLUMNS, "preferred", "time_error"), question.text
        for side in (question.first, question.second):
            name, _, at = side.partition("@")
            if name.startswith("data:"):
                assert name.removeprefix("data:") in {arm.clips for arm in plan.arms}
            else:
                assert name == BASE or name in arms, (question.text, name)
            if at and not at.startswith("best:"):
                assert any(abs(k / plan.points - float(at)) < 0.02 for k in plan.moments()), (question.text, side)
        if question.where is not None:
            assert question.where in [f"{name}-{D}" for name, _, D in plan.conditions()], question.text


def test_sides_at_equal_cost_cost_the_same() -> None:
    """ "At equal cost" in a question means passes, decoding and reward included, to an eighth: steps are
    rounded to eight checkpoints, which gives tuning at D = 50 a tenth more."""
    from ivtutorial.lab.experiments.plans.plan import step_cost

    for rule in read_questions():
        for question in rule.questions:
            if "equal cost" not in question.text or rule.number == 10:
                continue
            plan, spent = experiment(question.experiment), []
            for side in (question.first, question.second):
                name, _, at = side.partition("@")
                arm = next(arm for arm in plan.arms if arm.name == name)
                share = 1.0 if not at or at.startswith("best:") else float(at)
                spent.append(share * arm.captions * step_cost(arm) * arm.steps(plan.points))
            assert spent[0] == pytest.approx(spent[1], rel=0.125), (question.text, spent)


def test_a_file_that_holds_no_questions(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read as questions"):
        read_questions(tmp_path)
    claim = {"number": 1, "text": "", "source": "", "questions": [{"text": "a", "colour": "red"}]}
    (tmp_path / "questions.json").write_text(json.dumps({"claims": [claim]}))
    with pytest.raises(InputError, match="'colour': no such setting"):
        read_questions(tmp_path)
    with pytest.raises(InputError, match="measure 'guess'"):
        Question("a", "fig8", "reward", "instructvideo", measure="guess")


def test_a_file_that_is_no_result(tmp_path: Path) -> None:
    (tmp_path / "fig5c.json").write_text("{}")
    with pytest.raises(InputError, match="not the result of an experiment"):
        verdicts(tmp_path)


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["experiment", "verdicts", "--results", str(tmp_path), "--json"])
    assert ended.value.code == 0
    assert [claim["number"] for claim in json.loads(capsys.readouterr().out)["claims"]] == list(range(1, 12))
    with pytest.raises(SystemExit) as ended:
        cli.main(["experiment", "fig6"])
    assert ended.value.code == 2 and "there are fig5a" in capsys.readouterr().err


def test_the_plan_as_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["experiment", "plan", "--processes", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert ended.value.code == 0 and "core-hours" in lines[0] and "hours on 2 cores" in lines[-1]
