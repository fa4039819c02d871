"""How a model is fitted into memory: precision of each part, what is recomputed, what waits outside the GPU.

| setting | what it saves | what it costs |
|---|---|---|
| `unet`, `vae`, `text_encoder`, `reward` | in fp16 or bf16 half of that part's weights and activations | rounding |
| `recompute_unet` | activations of all blocks but one | one more forward pass of the steps with gradient |
| `guidance_passes` = 2 | half the activations of one block | smaller batches, so less speed on a large GPU |
| `decode_chunk`, `recompute_decode` | activations of all frames but `decode_chunk` | decoding them once more |
| `recompute_reward` | activations of the reward for all frames but one | one more forward pass of the reward |
| `offload_text` | both text towers, once every caption is encoded | nothing, unless new captions come |
| `compile` | nothing | a minute of compilation for faster steps; the shapes must stay the same |

None of it changes what is computed, up to rounding. Attention uses torch's fused kernels (SDPA) in any case, and only
the last K steps of a chain are recorded at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import torch

from ivtutorial.errors import InputError
from ivtutorial.rewards.base import HasTextTower

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
PARTS = ("unet", "vae", "text_encoder", "reward")


@dataclass(frozen=True)
class Memory:
    """Settings that trade time and precision for memory; the defaults save nothing.

    Attributes:
        unet: precision of its frozen weights; None is the precision that is computed in. So are `vae`, `text_encoder`
            and `reward`. The adapter is always float32.
        vae: see unet.
        text_encoder: see unet.
        reward: see unet.
        recompute_unet: recompute each block of the UNet in the backward pass.
        guidance_passes: 1 evaluates both halves of the guidance as one batch, 2 one after the other.
        decode_chunk: frames that the VAE decodes at a time.
        recompute_decode: recompute each chunk in the backward pass.
        recompute_reward: score one frame at a time and recompute it in the backward pass.
        offload_text: after all captions are encoded, move the text towers of model and reward to main memory.
        compile: let torch compile the UNet.

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
        for part in PARTS:
            if getattr(self, part) not in (None, *get_args(Precision)):
                raise InputError(f"{part} = {getattr(self, part)!r}: expected one of {', '.join(get_args(Precision))}.")
        if self.guidance_passes not in (1, 2):
            raise InputError(f"guidance_passes = {self.guidance_passes!r}: expected 1 (one batch) or 2.")
        if not isinstance(self.decode_chunk, int) or isinstance(self.decode_chunk, bool) or self.decode_chunk < 1:
            raise InputError(f"decode_chunk = {self.decode_chunk!r}: expected a whole number of at least 1.")

    def dtypes(self, compute: Precision = "fp32") -> dict[str, torch.dtype]:
        """The precision of each part as torch's type, for `open_model` and `open_reward`.

        Args:
            compute: what parts without a precision of their own get.
        """
        return {part: DTYPES[getattr(self, part) or compute] for part in PARTS}


@contextmanager
def fitted(backbone: Backbone, reward: ImageReward, memory: Memory) -> Iterator[ImageReward]:
    """Works as `memory` says inside the block, and as before after it.

    Precision is not changed here: it is chosen where models are opened. Running out of the GPU's memory inside is told
    with advice, see `explain_out_of_memory`.

    Args:
        backbone: changed in place for a while.
        reward: any image reward.
        memory: the settings.

    Yields:
        The reward to use inside.
    """
    from ivtutorial.rewards.combine import Recomputed

    before, text_device = backbone.memory, backbone.text_encoder.device
    backbone.memory = memory
    if memory.recompute_unet:
        backbone.unet.enable_gradient_checkpointing()
    if memory.compile:
        backbone.unet.compile()
    try:
        with explain_out_of_memory():
            yield Recomputed(reward) if memory.recompute_reward else reward
    finally:
        backbone.memory = before
        backbone.unet.disable_gradient_checkpointing()
        if memory.compile:
            backbone.unet._compiled_call_impl = None  # there is no public way back from Module.compile
        backbone.text_encoder.to(text_device)


def offload_text(backbone: Backbone, reward: ImageReward) -> None:
    """Move the text towers to main memory if `backbone.memory` says so; for when every caption has been encoded.

    Args:
        backbone: its embeddings stay known, and appear on the UNet's device.
        reward: one that has a text tower of its own (`offload_text`), or any other.
    """
    if backbone.memory.offload_text:
        backbone.text_encoder.to("cpu")
        if isinstance(reward, HasTextTower):
            reward.offload_text("cpu")
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


# By what is given up: nothing first, then time, then quality.
KNOBS = (
    "batch_size=1 with accumulation for the rest",
    "precision=fp16 (or bf16)",
    "recompute_unet, recompute_decode with decode_chunk=1, and recompute_reward",
    "guidance_passes=2 and offload_text",
    "K=1 and fewer segments S",
    "fewer frames, or a smaller height and width",
)
SAMPLING_KNOBS = (
    "a smaller batch_size",
    "weights in half precision",
    "fewer frames, or a smaller height and width",
)
_ALONE = "no other program on this GPU (nvidia-smi lists them)"
OPENING_KNOBS = (
    _ALONE,
    "half precision: precision of finetune, precision of prepare, dtype of open_model",
    "device=cpu",
)
ENCODING_KNOBS = (  # there is no batch: clips are encoded one by one
    _ALONE,
    "half precision: precision of finetune, and the same precision of prepare",
    "fewer frames, or a smaller height and width",
)


@contextmanager
def explain_out_of_memory(knobs: Sequence[str] = KNOBS) -> Iterator[None]:
    """Turns "CUDA out of memory" into advice: which knob to turn, in which order.

    Args:
        knobs: what to advise; by default those of fine-tuning.

    Raises:
        InputError: when the block runs out of the GPU's memory.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        advice = "; ".join(f"{place}. {knob}" for place, knob in enumerate(knobs, start=1))
        first = (str(error).strip().splitlines() or [""])[0]
        raise InputError(f"out of memory on the GPU. Turn these knobs, in this order: {advice}. ({first})") from error
