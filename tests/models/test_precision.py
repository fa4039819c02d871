"""What `auto` stands for, and that the precision that is asked for is the one that is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import save_backbone
from ivtutorial.models.named import open_model
from ivtutorial.models.precision import choose_precision, has_fast_bf16, unet_in


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx2": True, "avx512_f": True}, "fp32"),
        ({"avx2": True, "avx512_bf16": True}, "bf16"),
        ({"amx_bf16": True}, "bf16"),
        ({}, "fp32"),
    ],
)
def test_auto_is_bf16_only_where_the_cpu_multiplies_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities, raising=False)
    assert choose_precision("auto") == expected
    assert has_fast_bf16() == (expected == "bf16")


def test_a_named_precision_is_taken_on_any_processor() -> None:
    assert [choose_precision(name) for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    assert choose_precision("fp16", "cuda") == choose_precision("auto", "cuda") == "fp16"


@pytest.mark.parametrize(("setting", "device"), [("fp16", "cpu"), ("no", "cpu"), ("int8", "cuda")])
def test_what_cannot_be_is_refused(setting: str, device: str) -> None:
    with pytest.raises(InputError, match=rf"precision = '{setting}'.*auto, fp32, bf16"):
        choose_precision(setting, device)


def test_only_the_unet_changes_its_type(tiny_backbone: Backbone, tmp_path: Path) -> None:
    opened = open_model(save_backbone(tiny_backbone, tmp_path), unet_in("bf16"))
    assert (opened.unet.dtype, opened.vae.dtype) == (torch.bfloat16, torch.float32)
    assert opened.text_encoder.dtype == torch.float32
