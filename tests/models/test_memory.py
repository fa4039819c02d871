"""Settings of memory: precision by part, numbers in range, fused attention."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor2_0

from ivtutorial.errors import InputError
from ivtutorial.models.memory import Memory
from tests.toy import toy_backbone


@pytest.mark.parametrize("compute", ["fp32", "fp16", "bf16"])
def test_parts_without_a_precision_of_their_own_get_the_one_that_is_computed_in(compute: Any) -> None:
    kinds = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
    dtypes = Memory(vae="fp32").dtypes(compute)
    assert dtypes == {**dict.fromkeys(("unet", "text_encoder", "reward"), kinds[compute]), "vae": torch.float32}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"unet": "fp8"}, "unet = 'fp8'"),
        ({"reward": torch.float16}, "reward = torch.float16"),
        ({"guidance_passes": 3}, "guidance_passes = 3"),
        ({"decode_chunk": 0}, "decode_chunk = 0"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Memory(**settings)


def test_attention_runs_on_torchs_fused_kernels(tiny_tokenizer: Any) -> None:
    processors = toy_backbone(tiny_tokenizer).unet.attn_processors
    assert processors and all(isinstance(item, AttnProcessor2_0) for item in processors.values())
