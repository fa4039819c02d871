"""How a model is fitted into memory: precision of each part, what is recomputed, what waits outside the GPU.

| setting | what it saves | what it costs |
|---|---|---|
| `unet`, `vae`, `text_encoder`, `reward` | in fp16 or bf16 half of that part's weights and activations | rounding |
| `recompute_unet` | activations of all blocks but one | one more forward pass of the steps with gradient |
| `guidance_passes` = 2 | half the activations of one block | smaller batches, so less speed on a large GPU |
| `decode_chunk`, `recompute_decode` | activations of all frames but `decode_chunk` | decoding them once more |
| `recompute_reward` | activations of the reward for all frames but one | one more forward pass of the reward |
| `offload_text` | both text towers, once every caption is encoded | nothing, unless new captions come |
| `compile` | nothing | one to two minutes of compilation for faster steps; the shapes must stay the same |

None of it changes what is computed, up to rounding. Attention uses torch's fused kernels (SDPA) in any case, and only
the last K steps of a chain are recorded at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch

from ivtutorial.checks import one_of, switches, whole

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_PARTS = ("unet", "vae", "text_encoder", "reward")


@dataclass(frozen=True)
class Memory:
    """Settings that trade time and precision for memory; the defaults save nothing.

    Attributes:
        unet: precision of its frozen weights; None is the precision that is computed in. So are `vae`, `text_encoder`
            and `reward`, which on a GPU also compute in theirs while the UNet's is the run's. The adapter is always
            float32.
        vae: see unet.
        text_encoder: see unet.
        reward: see unet.
        recompute_unet: recompute each block of the UNet in the backward pass.
        guidance_passes: 1 evaluates both halves of the guidance as one batch, 2 one after the other.
        decode_chunk: frames that the VAE decodes, or encodes, at a time.
        recompute_decode: recompute each chunk in the backward pass.
        recompute_reward: score one frame at a time and recompute it in the backward pass.
        offload_text: after all captions are encoded, move the text towers of model and reward to main memory.
        compile: let torch compile the UNet, in its default mode. CUDA graphs (`mode="reduce-overhead"`) are no setting
            until their row of `benchmarks/on_a_gpu.py` has been measured on a card.

    Raises:
        InputError: an unknown precision, or a number out of range.

    Example:
        >>> Memory(vae="fp32", guidance_passes=2).dtypes("fp16")["unet"]
        torch.float16
    """

    unet: Precision | None = None
    vae: Precision | None = None
    text_encoder: Precision | None = None
    reward: Precision | None = None
    recompute_unet: bool = False
    guidance_passes: int = 1
    decode_chunk: int = 16
    recompute_decode: bool = False
    recompute_reward: bool = False
    offload_text: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        one_of(self, **{part: (None, *get_args(Precision)) for part in _PARTS}, guidance_passes=(1, 2))
        whole(self, decode_chunk=1)
        switches(self)

    def dtypes(self, compute: Precision = "fp32") -> dict[str, torch.dtype]:
        """The precision of each part as torch's type, for `open_model` and `open_reward`.

        Args:
            compute: what parts without a precision of their own get.
        """
        return {part: DTYPES[getattr(self, part) or compute] for part in _PARTS}
