"""Float32 products on tensor cores: switched on for a GPU alone, for the time of a run, by every function that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
import torch

from ivtutorial.evaluation import evaluation
from ivtutorial.sampling import clip_files, generation
from ivtutorial.system.device import allow_tf32
from ivtutorial.system.repeatable import repeatable

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

now = torch.get_float32_matmul_precision


@pytest.fixture(autouse=True)
def by_default() -> Iterator[None]:
    before = now()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


def test_float32_on_a_gpu_takes_tf32_and_afterwards_torch_is_as_before() -> None:
    with pytest.raises(KeyError), allow_tf32(torch.device("cuda", 1), "fp32"):
        assert now() == "high"
        raise KeyError
    assert now() == "highest"


@pytest.mark.parametrize(("device", "precision"), [("cpu", "fp32"), ("cuda", "bf16"), ("cuda", "fp16"), ("cuda", None)])
def test_a_cpu_and_half_precision_have_no_use_for_it(device: str, precision: str | None) -> None:
    with allow_tf32(device, precision):
        assert now() == "highest"


def test_a_run_that_is_to_repeat_stays_in_float32() -> None:
    with repeatable(True), allow_tf32("cuda", "fp32"):
        assert now() == "highest"


def test_what_the_caller_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rougher products, or a setting by torch's newer names, at which the older function raises."""
    torch.set_float32_matmul_precision("medium")
    with allow_tf32("cuda", "fp32"):
        assert now() == "medium"
    assert now() == "medium"

    def mixed() -> str:
        raise RuntimeError("a mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_float32_matmul_precision", mixed)
    with allow_tf32("cuda", "fp32"):
        assert now() == "medium"


@pytest.mark.parametrize(
    ("module", "start"),
    [
        (generation, lambda model, out: generation.generate(model, ["a fox"])),
        (clip_files, lambda model, out: clip_files.generate_files(model, ["a fox"], out)),
        (evaluation, lambda model, out: evaluation.evaluate(model, ["a fox"], lambda frames, captions: frames)),
    ],
    ids=["generate", "generate_files", "evaluate"],
)
@pytest.mark.parametrize("kind", ["cuda", "cpu"])
def test_clips_are_sampled_with_it(
    tiny_backbone: Backbone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: ModuleType,
    start: Callable[[Any, Path], object],
    kind: str,
) -> None:
    """The model says that it is on such a device; what sampling finds is noted, and it ends there."""
    found: list[str] = []

    def sampled(*_: object) -> Iterator[Any]:
        found.append(now())
        raise KeyError

    monkeypatch.setattr(module, "settled", lambda model, sampling, *_: (replace(sampling, precision="fp32"), kind))
    monkeypatch.setattr(module, "sample_batches", sampled)
    with pytest.raises(KeyError):
        start(tiny_backbone, tmp_path)
    assert found == ["high" if kind == "cuda" else "highest"] and now() == "highest"
