"""The moving average of the adapter: its numbers by hand, and that a run with it can be cut off and shared."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.errors import InputError
from ivtutorial.models.lora import LORA_FILE
from ivtutorial.rivals.kept_prefix import KeptPrefix
from ivtutorial.system.moving_average import MovingAverage
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import finetune
from tests.tolerances import assert_close
from tests.training.runs import CONFIG, distance, redness, same, weights

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

METHOD = KeptPrefix(tau=0.5, D=4, S=2, K=1, reuse=2)  # two updates a step: the average follows steps
AVERAGED = replace(CONFIG, method=METHOD, ema=0.6)


def test_average_by_hand() -> None:
    """0, then 1 for two steps: b_1 = 1/10 leaves .9, b_2 = 2/11 leaves .9 * 2/11 + 9/11; decay bounds b_n."""
    weight = torch.nn.Parameter(torch.zeros(1))
    average = MovingAverage([weight], 0.9)
    weight.data += 1
    average.follow(1)
    assert average.means[0].item() == pytest.approx(0.9)
    average.follow(2)
    assert average.means[0].item() == pytest.approx(0.9 * 2 / 11 + 9 / 11)
    with average.in_place():
        assert weight.item() == pytest.approx(average.means[0].item())
    assert weight.item() == 1
    slow = MovingAverage([weight], 0.5)
    weight.data += 1
    slow.follow(1000)
    assert slow.means[0].item() == pytest.approx(1.5)


def test_without_decay_there_is_none() -> None:
    weight = torch.nn.Parameter(torch.zeros(1))
    average = MovingAverage([weight], 0.0)
    average.follow(1)
    with average.in_place():
        weight.data += 1
    assert average.means == [] and weight.item() == 1


def test_the_result_is_the_average_of_the_adapters_along_the_run(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    """Recomputed from the checkpoints of every step; the up matrices began at 0."""
    config = replace(AVERAGED, steps=4, checkpoint_every=1, keep=4)
    run = finetune(toy, data, redness, tmp_path / "run", config, progress=False)
    folders = sorted((run.folder / "checkpoints").glob("step-*"))
    ups = [{name: x for name, x in weights(folder).items() if "lora_B" in name} for folder in folders]
    means = {name: torch.zeros_like(x) for name, x in ups[0].items()}
    for n, state in enumerate(ups, 1):
        kept = min(0.6, n / (n + 9))
        means = {name: kept * mean + (1 - kept) * state[name] for name, mean in means.items()}
    result = weights(run)
    for name, mean in means.items():
        assert_close(result[name], mean, n=20)
    assert not same(result, weights(folders[-1])) and (run.lora / LORA_FILE).is_file()


def test_a_run_that_was_cut_off_goes_on_exactly(toy: Backbone, data: LatentDataset, tmp_path: Path) -> None:
    whole = finetune(toy, data, redness, tmp_path / "whole", AVERAGED, progress=False)
    finetune(toy, data, redness, tmp_path / "cut", replace(AVERAGED, steps=4), progress=False)
    again = finetune(toy, data, redness, tmp_path / "cut", AVERAGED, resume=True, progress=False)
    assert same(weights(again), weights(whole))
    with pytest.raises(InputError, match=r"ema = 0.6, now 0.5"):
        finetune(toy, data, redness, tmp_path / "cut", replace(AVERAGED, ema=0.5), resume=True, progress=False)


def test_two_processes_average_what_one_with_two_passes_does(
    toy: Backbone, data: LatentDataset, tmp_path: Path
) -> None:
    config = replace(AVERAGED, steps=2)
    two = finetune(toy, data, redness, tmp_path / "two", config, processes=2, progress=False)
    one = finetune(toy, data, redness, tmp_path / "one", replace(config, accumulation=2), progress=False)
    assert distance(weights(two), weights(one)) < 0.01


@pytest.mark.parametrize("ema", [-0.1, 1.0])
def test_decay_out_of_range(ema: float) -> None:
    with pytest.raises(InputError, match="ema"):
        FinetuneConfig(ema=ema)
