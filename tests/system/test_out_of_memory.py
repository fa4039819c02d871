"""Running out of the GPU's memory is an error that names what to change, wherever it happens."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.data.lists import Clip
from ivtutorial.data.preparation import prepare
from ivtutorial.errors import InputError
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.scoring import score
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.lora import has_lora
from ivtutorial.models.memory import Memory
from ivtutorial.sampling.generation import Sampling, generate
from ivtutorial.sampling.training_clips import sample_clips
from ivtutorial.system.out_of_memory import OPTIONS, explain_out_of_memory
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.finetuning import export_merged, finetune
from ivtutorial.training.fit import fitted
from ivtutorial.training.presets import preset
from ivtutorial.video.writer import write_video
from tests.models.dit.tiny import tiny_wan, tiny_wan_folder
from tests.toy import toy_backbone


def redness(frames: Tensor, captions: Any) -> Tensor:
    """Any reward."""
    return frames[:, 0].mean(dim=(1, 2))


@pytest.fixture
def backbone(tiny_tokenizer: Any) -> Backbone:
    return toy_backbone(tiny_tokenizer)


@pytest.mark.parametrize("where", ["explained", "fitted"])
def test_running_out_of_memory_names_the_options_in_order(backbone: Backbone, where: str) -> None:
    block = explain_out_of_memory() if where == "explained" else fitted(backbone, redness, Memory())
    with pytest.raises(InputError) as caught, block:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nProcess 7 has ...")
    message = str(caught.value)
    positions = [message.index(f"{index}. {option}") for index, option in enumerate(OPTIONS, start=1)]
    assert positions == sorted(positions) and "Tried to allocate 2.00 GiB" in message and "\n" not in message


def test_every_option_of_the_advice_is_a_setting() -> None:
    """`NAME=VALUE` and `GROUP.NAME` are settings of a run, and the presets are there."""
    text, known = "; ".join(OPTIONS), FinetuneConfig().to_dict()
    named = set(re.findall(r"\w+(?:\.\w+)+|[\w.]+(?==)", text))
    assert {"batch_size", "memory.offload_text", "method.S"} <= named
    for name in named:
        group, dot, setting = name.partition(".")
        assert setting in known[group] if dot else name in known, name
    assert [preset(name)["memory"]["guidance_passes"] for name in re.findall(r"\d+gb", text)] == [2, 2]


def out_of_memory(*_: Any, **__: Any) -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def test_a_run_whose_models_do_not_fit_names_the_options_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Already opening the models may be too much; nothing is left behind."""
    monkeypatch.setattr("ivtutorial.models.backbone_folder.load_backbone", out_of_memory)
    data = LatentDataset(torch.zeros(1, 4, 16, 8, 8), ("a fox",))
    with pytest.raises(InputError, match=r"order: 1\. no other program .* 2\. half precision: precision"):
        finetune("reduced", data, redness, tmp_path / "run", FinetuneConfig(steps=1), device="cpu", progress=False)
    assert not (tmp_path / "run").exists()


SAMPLES, OPENS = r"1\. a smaller batch_size; 2\. weights in half", r"2\. half precision.* 3\. device=cpu"


SCORER, MODEL = "method.video_reward.VideoReward.of_frames", "models.backbone_folder.load_backbone"


ENCODER = "models.backbone_folder.load_encoder"


FOX = ["a fox"]


SMALL = Sampling(D=2, frames=2)


@pytest.mark.parametrize(
    ("too_much", "message", "call"),
    [
        ("sampling.generation.sample", SAMPLES, lambda model, out: generate(model, FOX, sampling=SMALL)),
        ("sampling.generation.sample", SAMPLES, lambda model, out: sample_clips(model, FOX, out, SMALL)),
        ("sampling.generation.sample", SAMPLES, lambda model, out: evaluate(model, FOX, redness, sampling=SMALL, S=2)),
        (SCORER, SAMPLES, lambda model, out: evaluate(model, FOX, redness, sampling=SMALL, S=2)),
        (SCORER, SAMPLES, lambda model, out: score(torch.rand(1, 4, 3, 8, 8), FOX, redness)),
        (MODEL, OPENS, lambda model, out: generate("reduced", FOX, device="cpu")),
        (ENCODER, OPENS, lambda model, out: prepare(out, out / "new", "reduced")),
        ("models.dit.parts.load_model", OPENS, lambda model, out: generate(tiny_wan_folder(out), FOX, device="cpu")),
        ("models.dit.prompt_side.encode_prompts", OPENS, lambda model, out: generate(tiny_wan(), FOX)),
        ("training.finetuning.load_lora", OPENS, lambda model, out: export_merged(model, out, out / "new")),
        ("rewards.named.open_named", OPENS, lambda model, out: score(torch.rand(1, 4, 3, 8, 8), FOX, "hpsv2")),
    ],
    ids=[
        "generate",
        "from prompts",
        "evaluate",
        "evaluate's score",
        "score",
        "model",
        "model of prepare",
        "a part",
        "prompts",
        "merging",
        "reward",
    ],
)
def test_what_does_not_fit_elsewhere_names_its_own_options(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, too_much: str, message: str, call: Any
) -> None:
    monkeypatch.setattr(f"ivtutorial.{too_much}", out_of_memory)
    with pytest.raises(InputError, match=rf"{message}.* \(CUDA out of memory"):
        call(backbone, tmp_path)


@pytest.mark.parametrize(
    "stage",
    [
        "data.latent_cache.LatentCache.read",
        "method.instructvideo.denoise",
        "method.instructvideo.score_frames",
        "training.step.average_gradients",
        "training.samples.score",
    ],
    ids=["clips", "chain", "decoder and reward", "after the backward pass", "samples"],
)
def test_whatever_does_not_fit_in_training_names_the_options_of_training(
    backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    monkeypatch.setattr(f"ivtutorial.{stage}", out_of_memory)
    method = InstructVideo(tau=0.5, D=4, S=2)
    config = FinetuneConfig(method, steps=1, frames=4, sample_every=1, sample_prompts=("a fox",))
    write_video(tmp_path / "a.mp4", np.zeros((16, 32, 32, 3), np.uint8))
    clips = [Clip(tmp_path / "a.mp4", "a fox"), Clip(tmp_path / "a.mp4", "snow")]
    with pytest.raises(InputError, match=r"order: 1\. batch_size=1 with accumulation .* \(CUDA out of memory"):
        finetune(backbone, clips, redness, tmp_path / "run", config, progress=False)
    assert backbone.memory == Memory() and not has_lora(backbone.unet)


def test_the_backward_pass_that_does_not_fit_names_them_too(backbone: Backbone, tmp_path: Path) -> None:
    class TooMuch(torch.autograd.Function):
        @staticmethod
        def forward(_: Any, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(_: Any, *gradients: Tensor) -> Any:  # type: ignore[override]
            return out_of_memory()

    data = LatentDataset(torch.zeros(1, 4, 4, 8, 8), ("a fox",))
    config = FinetuneConfig(InstructVideo(tau=0.5, D=4, S=2), steps=1, frames=4, batch_size=1)
    with pytest.raises(InputError, match=r"order: 1\. batch_size=1 with accumulation"):
        finetune(
            backbone, data, lambda frames, captions: TooMuch.apply(redness(frames, captions)), tmp_path / "run", config,
            progress=False,
        )  # fmt: skip


@pytest.mark.parametrize(
    "message",
    ["CUDA error: out of memory\nCUDA kernel errors might be", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling"],
)
def test_memory_that_torch_does_not_count_runs_out_too(message: str) -> None:
    """cuBLAS and cuDNN allocate past torch; the error is then a plain RuntimeError, or CUDA's own."""
    for kind in (RuntimeError, getattr(torch, "AcceleratorError", RuntimeError)):
        with pytest.raises(InputError, match="Change these options"), explain_out_of_memory():
            raise kind(message)


@pytest.mark.parametrize("kind", [ZeroDivisionError, RuntimeError])
def test_other_errors_pass_unchanged(kind: type[Exception]) -> None:
    with pytest.raises(kind, match="unlike"), explain_out_of_memory():
        raise kind("sizes are unlike")
