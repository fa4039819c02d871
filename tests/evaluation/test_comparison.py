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


def test_another_model_adapter_or_batch_is_what_a_comparison_is_for() -> None:
    other = {**SETTINGS, "model": "tuned", "lora": "runs/a/lora", "lora_scale": 0.5, "batch_size": 1}
    assert compare(rows(1.0, 2.0), replace(rows(2.0, 3.0), settings=other)).reward.mean == 1.0
