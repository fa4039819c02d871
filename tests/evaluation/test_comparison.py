"""Paired comparison: by hand, and refused where the numbers cannot be compared."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from ivtutorial.errors import InputError
from ivtutorial.evaluation.comparison import compare, difference
from ivtutorial.evaluation.table import Evaluation

SETTINGS = {"model": "reduced", "lora": None, "lora_scale": 1.0, "reward": "reduced", "S": 4, "D": 20, "frames": 16}


def rows(*rewards: float, seed: int = 0) -> Evaluation:
    table = [
        {"index": i, "prompt": f"prompt {i}", "seed": seed, "clip": "", "reward": r} for i, r in enumerate(rewards)
    ]
    return Evaluation(table, SETTINGS)


def test_paired_difference_by_hand() -> None:
    """Differences 1, 3, 2: mean 2, standard deviation 1, so d_z = 2; all three rise."""
    result = compare(rows(1.0, 5.0, 9.0), rows(2.0, 8.0, 11.0)).reward
    assert (result.before, result.after, result.mean, result.n) == (5.0, 7.0, 2.0, 3)
    assert result.effect_size == pytest.approx(2.0) and result.wins == 1.0
    assert 1.0 <= result.low < 2.0 < result.high <= 3.0


def test_pairing_takes_the_spread_of_the_prompts_out() -> None:
    """Every prompt rises by 0.1 while prompts differ by thousands: the interval is the point 0.1."""
    before = [1000.0 * k for k in range(8)]
    result = difference(before, [value + 0.5 for value in before])
    assert (result.low, result.high) == (0.5, 0.5) and result.effect_size == math.inf


def test_nothing_changes() -> None:
    result = difference([1.0, 2.0], [1.0, 2.0])
    assert (result.mean, result.effect_size, result.wins) == (0.0, 0.0, 0.5)


def test_pairs_are_found_by_prompt_and_seed_not_by_place() -> None:
    first, second = rows(1.0, 2.0), rows(1.5, 2.5)
    turned = Evaluation(list(reversed(second.rows)), SETTINGS)
    assert compare(first, turned).reward.mean == 0.5


@pytest.mark.parametrize("other", [rows(1.0), rows(1.0, 2.0, seed=1), rows(1.0, 2.0, 3.0)])
def test_evaluations_of_other_prompts_or_seeds(other: Evaluation) -> None:
    with pytest.raises(InputError, match="not of the same prompts and seeds"):
        compare(rows(1.0, 2.0), other)


def test_an_infinite_effect_size_is_null_in_json() -> None:
    stored = compare(rows(1.0, 2.0), rows(2.0, 3.0)).to_dict()
    assert stored["reward"]["effect_size"] is None and json.dumps(stored, allow_nan=False)


@pytest.mark.parametrize(("setting", "value"), [("reward", "hpsv2"), ("S", 8), ("D", 50), ("frames", 8)])
def test_two_rewards_or_two_ways_of_sampling_are_not_compared(setting: str, value: object) -> None:
    """Else the change of the setting would be read as one of the model. Who means it names the setting."""
    before, after = rows(1.0, 2.0), replace(rows(2.0, 3.0), settings={**SETTINGS, setting: value})
    with pytest.raises(InputError, match=rf"differ in {setting} \({SETTINGS[setting]} before, {value} after\)"):
        compare(before, after)
    assert compare(before, after, differing=[setting]).reward.mean == 1.0
    with pytest.raises(InputError, match="no setting 'steps'"):
        compare(before, after, differing=["steps"])


def with_settings(**changed: object) -> Evaluation:
    """The second of two evaluations, with other settings; one that is `...` is absent."""
    values = {name: value for name, value in {**SETTINGS, **changed}.items() if value is not ...}
    return replace(rows(2.0, 3.0), settings=values)


@pytest.mark.parametrize("setting", ["reward", "S", "D", "frames"])
def test_a_setting_that_only_one_side_records_differs(setting: str) -> None:
    """Nobody knows then whether it was the same; in either order."""
    with_it, without = rows(1.0, 2.0), with_settings(**{setting: ...})
    value = SETTINGS[setting]
    with pytest.raises(InputError, match=rf"differ in {setting} \({value} before, not recorded after\)"):
        compare(with_it, without)
    with pytest.raises(InputError, match=rf"differ in {setting} \(not recorded before, {value} after\)"):
        compare(without, with_it)
    assert compare(with_it, without, differing=[setting]).reward.mean == 1.0


def test_an_evaluation_without_a_precision_was_made_in_fp32() -> None:
    """So were all before precision was a setting."""
    assert compare(rows(1.0, 2.0), with_settings(precision="fp32")).reward.mean == 1.0
    with pytest.raises(InputError, match=r"precision \(fp32 before, bf16 after\)"):
        compare(rows(1.0, 2.0), with_settings(precision="bf16"))


@pytest.mark.parametrize("who", ["reward", "judge"])
def test_other_weights_under_the_same_name_are_another_reward_or_judge(who: str) -> None:
    """Known by the hash of their weights; hashes of two precisions are of the same weights, perhaps, and are not
    compared."""

    def made(weights: object) -> Evaluation:
        return with_settings(**{who: "a folder", f"{who}_weights": weights})

    first = made("float32 1111")
    for same in ("float32 1111", "float16 3333", "", ...):
        assert compare(first, made(same)).reward.mean == 0.0
    with pytest.raises(InputError, match=rf"{who} \(a folder with weights float32 1111 before, float32 2222 after\)"):
        compare(first, made("float32 2222"))
    assert compare(first, made("float32 2222"), differing=[who]).reward.mean == 0.0


def test_two_judges_are_not_compared_and_none_is_no_other_judge() -> None:
    one, two, none = (with_settings(judge=judge) for judge in ("one", "two", None))
    with pytest.raises(InputError, match=r"differ in judge \(one before, two after\)"):
        compare(one, two)
    assert not compare(one, two, differing=["judge"]).notes
    assert not compare(one, none).notes and not compare(none, one).notes


def test_an_older_evaluation_that_does_not_name_its_judge_is_noted() -> None:
    """As before judges were recorded: it is compared, and the comparison says what it cannot know."""
    old, new = with_settings(), with_settings(judge="one")
    assert "The evaluation before does not record its judge" in compare(old, new).notes[0]
    assert "The evaluation after does not record its judge" in compare(new, old).notes[0]
    assert "Neither evaluation records its judge" in compare(old, old).notes[0]
    assert not compare(old, with_settings(judge=None)).notes


def test_columns_of_one_side_are_named() -> None:
    first, second = (
        Evaluation([{**row, "both": 0.0, own: 1.0} for row in rows(1.0, 2.0).rows], SETTINGS)
        for own in ("utility", "quality")
    )
    result = compare(first, second)
    assert list(result.columns) == ["reward", "both"]
    assert (result.only_before, result.only_after) == (["utility"], ["quality"])


def test_a_column_that_is_not_finite_is_named() -> None:
    with pytest.raises(InputError, match=r"column 'reward' after: 1 of 2 values are not finite"):
        compare(rows(1.0, 2.0), rows(1.0, math.nan))
    with pytest.raises(InputError, match=r"column 'reward': .*1 of them NaN"):
        rows(1.0, math.nan).summary()


def test_another_model_adapter_or_batch_is_what_a_comparison_is_for() -> None:
    other = {**SETTINGS, "model": "tuned", "lora": "runs/a/lora", "lora_scale": 0.5, "batch_size": 1}
    assert compare(rows(1.0, 2.0), replace(rows(2.0, 3.0), settings=other)).reward.mean == 1.0
