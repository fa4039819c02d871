"""Where sampling computes and in which precision, where nobody says: as fine-tuning does."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.sampling import settings
from ivtutorial.sampling.generation import make_jobs
from ivtutorial.sampling.settings import Sampling, open_to_sample, settled

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

GPU, CPU = torch.device("cuda", 0), torch.device("cpu")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says it has a GPU."""
    monkeypatch.setattr(settings, "choose_device", lambda name=None: CPU if name == "cpu" else GPU)
    monkeypatch.setattr(settings, "check_bf16", lambda precision, device: None)


@pytest.mark.usefixtures("gpu")
def test_a_gpu_is_used_in_half_precision_where_there_is_one() -> None:
    assert settled("modelscope", Sampling()) == (Sampling(precision="fp16"), "cuda")
    assert settled("modelscope", Sampling(precision="bf16")) == (Sampling(precision="bf16"), "cuda")
    assert settled("modelscope", Sampling(), device="cpu") == (Sampling(precision="fp32"), "cpu")


@pytest.mark.usefixtures("gpu")
def test_several_processes_share_a_cpu() -> None:
    assert settled("reduced", Sampling(), processes=2) == (Sampling(precision="fp32"), "cpu")
    with pytest.raises(InputError, match="processes = 2 share a CPU"):
        settled("reduced", Sampling(), "cuda", processes=2)


def test_a_cpu_samples_in_single_precision_and_not_in_fp16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert settled("reduced", Sampling()) == (Sampling(precision="fp32"), "cpu")
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        settled("reduced", Sampling(precision="fp16"))
    with pytest.raises(InputError, match="expected 'cpu', or 'cuda' where there is a GPU"):
        settled("reduced", Sampling(), "cuda")


@pytest.mark.usefixtures("gpu")
def test_a_backbone_stays_where_and_as_it_is(fresh_backbone: Backbone) -> None:
    fresh_backbone.unet.to(torch.bfloat16)
    assert settled(fresh_backbone, Sampling()) == (Sampling(precision="bf16"), "cpu")
    assert open_to_sample(fresh_backbone, Sampling(), "cuda") is fresh_backbone


@pytest.mark.usefixtures("gpu")
def test_the_whole_model_is_half_on_a_gpu_and_the_unet_alone_on_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[tuple[Any, ...]] = []
    monkeypatch.setattr(settings, "open_model", lambda *arguments: opened.append(arguments))
    open_to_sample("m", Sampling(precision="fp16"), "cuda")
    open_to_sample("m", Sampling(precision="bf16"), "cpu")
    assert opened == [("m", torch.float16, GPU), ("m", {"unet": torch.bfloat16}, CPU)]


@pytest.mark.parametrize(
    "values",
    [{"frames": 16.0}, {"frames": None}, {"batch_size": "2"}, {"height": 64.0}, {"width": 0}, {"guidance": "3"},
     {"guidance": None}, {"eta": "0"}, {"eta": 2}],
)  # fmt: skip
def test_settings_of_sampling_are_refused_by_name(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(f"^{name} = " for name in values)):
        Sampling(**values)


def test_numbers_of_numpy_sample_and_are_stored() -> None:
    """A table of results is JSON, which is written after all clips: numpy's whole numbers would fail there."""
    sampling = Sampling(frames=np.int64(4))  # type: ignore[arg-type]
    seeds = [job.seed for job in make_jobs(["a fox"], np.arange(2))]  # type: ignore[arg-type]
    assert json.dumps([asdict(sampling)["frames"], *seeds]) == "[4, 0, 1]"
    assert make_jobs(["a fox"], np.int64(7))[0].seed == 7  # type: ignore[arg-type]


@pytest.mark.parametrize("seeds", [None, "3", 1.5, [1.5], [None], [], [1, 1], -1])
def test_seeds_that_are_none(seeds: Any) -> None:
    with pytest.raises(InputError, match="expected one whole number >= 0, or several different ones"):
        make_jobs(["a fox"], seeds)
