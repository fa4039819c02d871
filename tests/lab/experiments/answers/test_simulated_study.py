"""Table 2 with simulated annotators, on made-up results of a known truth."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ivtutorial import cli
from ivtutorial.errors import InputError
from ivtutorial.lab.experiments.answers.simulated_study import (
    PERFECT,
    SimulatedAnswers,
    shown_simulated_study,
    simulated_studies,
    simulated_study,
    simulated_study_text,
)
from ivtutorial.lab.world.annotators import with_ties
from tests.lab.experiments.made_up import made_up_result

BETTER = {"utility": [0.1, 0.2, 0.3, 0.8], "scene": [0.0, 0.0, 0.0, 0.5]}
FACTS = ("colour", "scene")


def made_up(**settings: Any) -> dict[str, Any]:
    arms = {"instructvideo": BETTER, "draft-1": {"utility": [0.0, 0.0, 0.0, 0.3]}, "again": BETTER}
    return made_up_result(arms, "fig5a", **{"noise": 0.02, "more": FACTS, **settings})


def by_question(rows: list[SimulatedAnswers], second: str) -> dict[str, SimulatedAnswers]:
    return {row.question: row for row in rows if row.second == second}


def test_shares_are_those_of_the_leads() -> None:
    """The scene is right half a clip more often: alignment leads by 3 * 0.3 * 0.5 = 0.45, quality by what is left of
    0.8."""
    rows = simulated_study(made_up(noise=0.0))
    for question, lead in (("quality", 0.35), ("alignment", 0.45), ("overall", 0.8)):
        row = by_question(rows, "instructvideo")[question]
        assert [share[0] for share in (row.wins, row.ties, row.losses)] == pytest.approx(with_ties(lead).tolist())
        assert row.net[0] == pytest.approx(row.wins[0] - row.losses[0])
    draft = by_question(rows, "draft-1")
    assert draft["alignment"].net[0] == pytest.approx(0) and draft["quality"].wins[0] > draft["quality"].losses[0]


def test_shares_sum_to_one_and_lie_within_their_intervals() -> None:
    for row in simulated_study(made_up(noise=0.3)):
        assert row.wins[0] + row.ties[0] + row.losses[0] == pytest.approx(1)
        assert all(low <= mean <= high for mean, low, high in (row.wins, row.ties, row.losses, row.net))


def test_a_clone_is_neither_preferred_nor_refused() -> None:
    """The very same clips in both arms: a third each, and no doubt about it."""
    result = made_up(noise=0.3)
    result["arms"]["again"] = copy.deepcopy(result["arms"]["instructvideo"])
    for row in simulated_study(result, "instructvideo", ["again"]):
        assert row.net == pytest.approx((0, 0, 0)) and row.ties == pytest.approx((1 / 3,) * 3)


@pytest.mark.parametrize("own", [True, False])
def test_swapped_arms_swap_wins_and_losses(own: bool) -> None:
    result = made_up(noise=0.3, own=own)
    there = simulated_study(result, "draft-1", ["instructvideo"])
    back = simulated_study(result, "instructvideo", ["draft-1"])
    for a, b in zip(there, back, strict=True):
        assert (a.first, a.second) == (b.second, b.first)
        assert a.wins == pytest.approx(b.losses) and a.ties == pytest.approx(b.ties)
        assert a.net == pytest.approx([-b.net[0], -b.net[2], -b.net[1]])


@pytest.mark.parametrize("own", [True, False])
def test_the_interval_of_an_a_a_arm_covers_no_preference(own: bool) -> None:
    """Of 60 A/A arms 57 should have wins and half of the ties around .5, a net preference around 0; fewer than 52
    happens in 1 of 100."""
    covered = 0
    for seed in range(60):
        result = made_up(noise=0.5, own=own, seed=seed, runs=6, prompts=8)
        net = by_question(simulated_study(result, "instructvideo", ["again"]), "again")["overall"].net
        covered += net[1] < 0 < net[2]
    assert covered >= 52


def test_arms_are_compared_where_they_cost_the_same() -> None:
    """The arm with twice the budget stands half way, where it leads by .3 and not by .8."""
    result = made_up(noise=0.0)
    result["plan"]["arms"][0]["budget"] *= 2
    row = by_question(simulated_study(result), "instructvideo@0.5")["overall"]
    assert row.wins[0] == pytest.approx(with_ties(0.3)[0])
    between = simulated_study(result, "draft-1", ["instructvideo"])
    assert {side.second for side in between} == {"instructvideo@0.5"}


def test_no_arm_can_be_preferred_to_a_perfect_clip() -> None:
    """It leads the untouched model's clip by 3 - u."""
    result = made_up(own=False)
    perfect = by_question(simulated_study(result), PERFECT)["overall"]
    base = np.array(result["base_values"]["in_domain-20"]["utility"])
    assert perfect.wins[0] == pytest.approx(with_ties(3 - base)[0].mean())
    assert perfect.wins[1] < perfect.wins[0] < perfect.wins[2], "for other prompts"


def test_without_the_facts_only_the_whole_is_asked() -> None:
    rows = simulated_study(made_up(more=()))
    assert {row.question for row in rows} == {"overall"}


def test_no_interval_leaves_what_is_possible() -> None:
    """Of two runs Student's interval reaches 12.7 standard errors; shares stay within 0 and 1, a net within 1 of 0."""
    for row in simulated_study(made_up(noise=1.0, runs=2)):
        assert all(0 <= low <= mean <= high <= 1 for mean, low, high in (row.wins, row.ties, row.losses))
        assert -1 <= row.net[1] <= row.net[0] <= row.net[2] <= 1


def test_a_single_run_has_an_interval_over_prompts(tmp_path: Path) -> None:
    result = made_up(runs=1, own=False)
    row = by_question(simulated_study(result), "instructvideo")["overall"]
    assert row.net[1] <= row.net[0] <= row.net[2]
    (tmp_path / "fig5a.json").write_text(json.dumps(result))
    assert "a single run" in shown_simulated_study("fig5a", folder=tmp_path)


def test_on_a_page(tmp_path: Path) -> None:
    """Three questions an arm, shares in per cent, and below them what the intervals hold for."""
    (tmp_path / "fig5a.json").write_text(json.dumps(made_up()))
    page = shown_simulated_study("fig5a", folder=tmp_path)
    assert page.count("alignment") == 4 and "a perfect clip" in page and "the same again (A/A)" in page
    assert "against the untouched model, at equal cost; 8 runs" in page and "overflow-x" in page
    other = shown_simulated_study("fig5a", "draft-1", ["instructvideo"], folder=tmp_path)
    assert "against DRaFT-1" in other and "perfect" not in other
    with pytest.raises(InputError, match="no arm 'third'"):
        shown_simulated_study("fig5a", arms=["third"], folder=tmp_path)


def test_what_cannot_be_shown_is_a_sentence(tmp_path: Path) -> None:
    """No result; averages over runs, as the second generation kept; results without a judge."""
    assert "Still to be measured" in shown_simulated_study("fig5a", folder=tmp_path)
    averages, blind = made_up(), made_up()
    for arm in averages["arms"].values():
        arm["values"] = {where: {c: rows[0] for c, rows in v.items()} for where, v in arm.pop("by_run").items()}
    for arm in blind["arms"].values():
        del arm["by_run"]["in_domain-20"]["utility"]
    for name, content in (("fig5a", averages), ("fig7", blind)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    assert "Not yet measured for fig5a" in shown_simulated_study("fig5a", folder=tmp_path)
    assert "Not yet measured for fig7" in shown_simulated_study("fig7", folder=tmp_path)
    assert all(isinstance(study, str) for study in simulated_studies(["fig5a", "fig7", "fig9"], tmp_path).values())


def test_the_command_prints_a_study_of_each_result(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "fig5a.json").write_text(json.dumps(made_up()))
    command = ["experiment", "verdicts", "--results", str(tmp_path)]
    with pytest.raises(SystemExit):
        cli.main(command)
    text = capsys.readouterr().out
    assert "| InstructVideo | the untouched model | quality |" in text and "| DRaFT-1 | InstructVideo |" in text
    with pytest.raises(SystemExit):
        cli.main([*command, "--json"])
    content = json.loads(capsys.readouterr().out)
    assert set(content) == {"claims", "simulated_study"} and set(content["simulated_study"]) == {"fig5a"}
    assert len(content["simulated_study"]["fig5a"]) == 3 * (3 + 1 + 2), "arms, a perfect clip, against the first arm"


def test_a_table_as_text() -> None:
    lines = simulated_study_text(simulated_study(made_up(noise=0.0, more=()), "instructvideo", ["again"])).splitlines()
    assert lines[0].startswith("|") and lines[2] == (
        "| the same again (A/A) | InstructVideo | overall | 33 | 33 | 33 | 0 (0, 0) |"
    )
