"""Adapters of other trainers on Wan, and ours in theirs: the same change of the weights in every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.models.lora import LORA_FILE, attach_lora, count_lora, load_lora, lora_layers, save_lora
from ivtutorial.models.wan_names import authors_name
from tests.models.dit.tiny import tiny_wan
from tests.tolerances import assert_close
from tests.toy import seeded

RANK, ALPHA = 2, 6.0  # a factor of 3


def matrices(transformer: Any) -> dict[str, tuple[Tensor, Tensor]]:
    """A and B of every attention projection and of a feed-forward layer, drawn."""
    generator, drawn = seeded(0), {}
    for name, module in transformer.named_modules():
        if name.endswith((".to_q", ".to_k", ".to_v", ".to_out.0", ".ffn.net.2")):
            out, width = module.weight.shape
            drawn[name] = tuple(torch.randn(shape, generator=generator) for shape in ((RANK, width), (out, RANK)))
    return drawn  # type: ignore[return-value]


def written(form: str, path: Path, drawn: dict[str, tuple[Tensor, Tensor]]) -> Path:
    """The file as a trainer writes it; those whose format has no alpha have the factor in B."""
    state: dict[str, Tensor] = {}
    for name, (down, up) in drawn.items():
        theirs = str(authors_name(name))
        if form == "diffusers":
            state |= {f"transformer.{name}.lora_A.weight": down, f"transformer.{name}.lora_B.weight": up * ALPHA / RANK}
        elif form == "peft":
            start = f"base_model.model.{name}"
            state |= {f"{start}.lora_A.weight": down, f"{start}.lora_B.weight": up * ALPHA / RANK}
        elif form == "comfy":
            start = f"diffusion_model.{theirs}"
            state |= {
                f"{start}.lora_A.weight": down,
                f"{start}.lora_B.weight": up,
                f"{start}.alpha": torch.tensor(ALPHA),
            }
        else:
            start = f"{form}{theirs.replace('.', '_')}"
            state |= {f"{start}.lora_down.weight": down, f"{start}.lora_up.weight": up}
            state[f"{start}.alpha"] = torch.tensor(ALPHA)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, path)
    return path


def change(transformer: Any) -> dict[str, Tensor]:
    """What the adapter adds to each weight."""
    added = {}
    for name, layer in lora_layers(transformer):
        [key] = layer.lora_A
        added[name] = layer.scaling[key] * layer.lora_B[key].weight @ layer.lora_A[key].weight
    return added


@pytest.mark.parametrize("form", ["diffusers", "peft", "comfy", "lora_unet_", "lora_unet__"])
def test_adapters_of_other_trainers_are_read(form: str, tmp_path: Path) -> None:
    """Two blocks of eight projections and one feed-forward layer; alpha / rank = 3 is kept."""
    wan = tiny_wan()
    drawn = matrices(wan.transformer)
    load_lora(wan.transformer, written(form, tmp_path / "other.safetensors", drawn))
    added = change(wan.transformer)
    assert added.keys() == drawn.keys() and count_lora(wan.transformer)[0] == 2 * 9
    for name, (down, up) in drawn.items():
        assert_close(added[name], 3.0 * up @ down, n=2 * RANK)


@pytest.mark.parametrize("form", ["comfy", "lora_unet_"])
def test_what_was_read_is_written_so_that_the_stock_pipeline_adds_the_same(form: str, tmp_path: Path) -> None:
    """alpha is 6 and the rank 2 in the first file; ours has the factor in B and needs no alpha."""
    from diffusers import WanPipeline

    wan, stock = tiny_wan(), tiny_wan()
    load_lora(wan.transformer, written(form, tmp_path / "other.safetensors", matrices(wan.transformer)))
    save_lora(wan.transformer, tmp_path / "ours")
    pipe = WanPipeline.__new__(WanPipeline)
    others = dict.fromkeys(("tokenizer", "text_encoder", "vae", "scheduler"))
    WanPipeline.__init__(pipe, **others, transformer=stock.transformer)
    pipe.load_lora_weights(tmp_path / "ours", weight_name=LORA_FILE)
    ours, theirs = change(wan.transformer), change(stock.transformer)
    assert ours.keys() == theirs.keys()
    for name, added in ours.items():
        assert_close(theirs[name], added, n=4 * RANK)


def test_the_stock_pipeline_reads_our_file_as_the_adapter_that_was_trained(tmp_path: Path) -> None:
    wan = tiny_wan()
    for parameter in attach_lora(wan.transformer, rank=4):
        parameter.data.normal_(generator=seeded(1))
    save_lora(wan.transformer, tmp_path)
    again = tiny_wan()
    load_lora(again.transformer, tmp_path)
    for name, added in change(wan.transformer).items():
        assert_close(change(again.transformer)[name], added, n=8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("diffusion_model.double_blocks.0.img_attn.qkv", "does not fit this model"),  # Hunyuan's
        ("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q", "does not fit this model"),
        ("lora_unet_blocks_7_self_attn_q", "does not fit this model"),  # there are two blocks
    ],
)
def test_adapters_of_another_family_are_refused(name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({f"{name}.lora_A.weight": torch.ones(2, 24), f"{name}.lora_B.weight": torch.ones(24, 2)}, path)
    with pytest.raises(InputError, match=message):
        load_lora(tiny_wan().transformer, path)
