"""What to do when the GPU's memory is too small: which setting to turn, in which order.

Three kinds of error mean it: torch's own; that of CUDA, where memory is taken past torch's books; and that of cuBLAS or
cuDNN, whose workspaces are such memory.
"""

from __future__ import annotations

import gc
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from ivtutorial.errors import InputError, first_line

# By what is given up: nothing first, then time, then quality. Names are those that --set takes.
OPTIONS = (
    "batch_size=1 with accumulation for the rest",
    "precision=fp16 (or bf16)",
    "memory.recompute_unet, memory.recompute_decode with memory.decode_chunk=1, and memory.recompute_reward",
    "memory.guidance_passes=2 and memory.offload_text (the presets 8gb and, for transformers, 16gb set all of these)",
    "method.K=1 and fewer segments method.S",
    "fewer frames, or a smaller height and width",
)
SAMPLING_OPTIONS = (
    "a smaller batch_size",
    "weights in half precision",
    "fewer frames, or a smaller height and width",
)
_ALONE = "no other program on this GPU (nvidia-smi lists them)"
OPENING_OPTIONS = (
    _ALONE,
    "half precision: precision of finetune, precision of prepare, dtype of open_model",
    "device=cpu",
)
ENCODING_OPTIONS = (  # there is no batch: clips are encoded one by one
    _ALONE,
    "half precision: precision of finetune, and the same precision of prepare",
    "fewer frames, or a smaller height and width",
)


_MESSAGE = re.compile("out of memory|ALLOC_FAILED", re.IGNORECASE)


@contextmanager
def explain_out_of_memory(options: Sequence[str] = OPTIONS) -> Iterator[None]:
    """Turns "CUDA out of memory" into advice: which options to change, in which order.

    Args:
        options: what to advise; by default those of fine-tuning.

    Raises:
        InputError: when the block runs out of the GPU's memory.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        forget_tensors(error)
        advice = "; ".join(f"{index}. {option}" for index, option in enumerate(options, start=1))
        raise InputError(
            f"out of memory on the GPU. Change these options, in this order: {advice}. ({first_line(error)})"
        ) from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device's memory was too small.

    Example:
        >>> is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
        True
    """
    return isinstance(error, torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and _MESSAGE.search(str(error)) is not None
    )


def forget_tensors(error: BaseException) -> None:
    """Give the memory of a failed call back: the frames of its traceback hold what it had computed so far.

    Args:
        error: with its traceback, whose frames lose their local variables; those still running keep them.
    """
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
