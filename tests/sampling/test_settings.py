"""Where sampling computes and in which precision, where nobody says: as fine-tuning does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.sampling import settings
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
