"""How clips are sampled, and on which device in which precision where nobody says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ivtutorial.checks import not_negative, whole, within
from ivtutorial.errors import InputError
from ivtutorial.method.schedule import ddim_timesteps
from ivtutorial.models.dit.prompt_side import PromptSide
from ivtutorial.models.memory import DTYPES, Precision
from ivtutorial.models.named import open_model
from ivtutorial.models.precision import choose_precision, unet_in
from ivtutorial.system.device import check_bf16, choose_device

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone


@dataclass(frozen=True)
class Sampling:
    """How clips are sampled.

    Attributes:
        D: DDIM steps.
        guidance: classifier-free guidance scale; 1 is none. The paper trains and evaluates with 3.
        frames: frames of a clip, F.
        height: in pixels; None is the model's own size. So is width.
        eta: 0 is deterministic DDIM, 1 as noisy as DDPM (then clips are sampled one at a time).
        batch_size: clips sampled together; it changes speed and memory only.
        precision: where the model is opened by name: on a GPU of all its weights, on a CPU of the UNet's (for "bf16"
            see `ivtutorial.models.precision`). None is "fp16" on a GPU and "fp32" on a CPU.

    Raises:
        InputError: a value out of range.
    """

    D: int = 20
    guidance: float = 3.0
    frames: int = 16
    height: int | None = None
    width: int | None = None
    eta: float = 0.0
    batch_size: int = 8
    precision: Precision | None = None

    def __post_init__(self) -> None:
        ddim_timesteps(self.D)
        if self.precision not in (None, *DTYPES):
            raise InputError(f"precision = {self.precision!r}: expected {', '.join(DTYPES)}, or None.")
        sides = [side for side in ("height", "width") if getattr(self, side) is not None]
        whole(self, **dict.fromkeys(("frames", "batch_size", *sides), 1))
        within(self, eta=(0, 1))
        not_negative(self, "guidance")


def settled(
    model: AnyBackbone | str | Path, sampling: Sampling, device: str | None = None, processes: int = 1
) -> tuple[Sampling, str]:
    """Precision and kind of device that sampling uses where none is given.

    Args:
        model: a backbone keeps its own.
        sampling: its precision, where it has one, stays.
        device: "cpu", "cuda" or None.
        processes: several of them share a CPU.

    Raises:
        InputError: an unknown device, no GPU where one is wanted, several processes on a GPU, fp16 on a
            CPU, or bf16 on a GPU without it.
    """
    if not isinstance(model, (str, Path)):
        # A large transformer is not read before the captions are encoded.
        dtype = (model.vae if isinstance(model, PromptSide) else model.unet).dtype
        own: Precision | None = next((name for name in get_args(Precision) if DTYPES[name] == dtype), None)
        return replace(sampling, precision=sampling.precision or own or "fp32"), model.device.type
    kind = "cpu" if device is None and processes > 1 else choose_device(device).type
    if kind == "cuda" and processes > 1:
        raise InputError(f"processes = {processes} share a CPU: leave it at 1 on a GPU, or choose device 'cpu'.")
    precision = choose_precision(sampling.precision or ("fp16" if kind == "cuda" else "fp32"), kind)
    check_bf16(precision, choose_device(kind))
    return replace(sampling, precision=precision), kind


def open_to_sample(model: AnyBackbone | str | Path, sampling: Sampling, device: str) -> AnyBackbone:
    """A model by name on a kind of device, in the precision of sampling; a backbone is returned as it is.

    Args:
        model: name, folder or backbone.
        sampling: see `settled`; so is device.
        device: see sampling.

    Raises:
        InputError: see `open_model`.
    """
    if not isinstance(model, (str, Path)):
        return model
    precision = sampling.precision or "fp32"
    return open_model(model, DTYPES[precision] if device == "cuda" else unet_in(precision), choose_device(device))
