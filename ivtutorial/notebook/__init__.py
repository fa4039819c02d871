"""What the chapters of the book share: models at a scale, looks of plots, memory counts, checked exercises.

| function      | what it does                                                                              |
|---------------|-------------------------------------------------------------------------------------------|
| `open_scale`  | the models and the clip size that `IVTUTORIAL_SCALE` stands for; used in the setup cell   |
| `use_style`   | plots that colour-blind readers can read, on a light page and on a dark one               |
| `film_strip`  | the frames of a clip side by side, for `plt.imshow`                                       |
| `seeded`      | a source of random numbers                                                                |
| `saved_bytes` | the memory that back-propagation keeps, counted tensor by tensor: the same on any machine |
| `check`       | tells a reader whether the function of an exercise is right, and which law it breaks      |
| `print_cost`  | what a chapter took so far, in its last cell                                              |

The interactive pieces are in :mod:`ivtutorial.notebook.widgets`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.notebook.widgets import clip_row as clip_row, stepper as stepper
from ivtutorial.pages.embed import picture as picture
from ivtutorial.system.provenance import peak_memory_mb
from ivtutorial.system.quiet import no_warnings

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone
    from ivtutorial.rewards.base import ImageReward

# Okabe and Ito's colours, which stay apart for every common kind of colour blindness. Plots use shape or line
# style beside them, so that no meaning hangs on colour alone.
BLUE, ORANGE, GREEN, PINK, YELLOW, GREY = "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#767676"


@dataclass(frozen=True)
class Scale:
    """The models and sizes of one scale; every chapter runs on whatever it is given.

    Attributes:
        name: "reduced" or "modelscope".
        backbone: the text-to-video model, frozen.
        reward: the image reward.
        size: (H, W) of the frames in pixels.
        device: where models and clips are.
    """

    name: str
    backbone: Backbone
    reward: ImageReward
    size: tuple[int, int]
    device: str

    def clips(self, *names: str) -> tuple[Tensor, list[str]]:
        """Clips of the fine-tuning set that ships with the package, and their captions.

        Args:
            *names: species and number, such as "fox/13".

        Returns:
            Frames (N, F, 3, H, W), float32 in [0, 1], on the scale's device; and N captions.

        Raises:
            InputError: the set has no such clip.
        """
        from ivtutorial.data.clips import load_frames, read_clips
        from ivtutorial.system.files import data_path

        known = {f"{clip.path.parent.name}/{clip.path.stem}": clip for clip in read_clips(data_path("clips"))}
        missing = [name for name in names if name not in known]
        if missing:
            raise InputError(f"no clip {', '.join(missing)} in the set; names look like {next(iter(known))}.")
        chosen = [known[name] for name in names]
        return load_frames(chosen, size=self.size).to(self.device), [clip.caption for clip in chosen]


def open_scale(name: str = "reduced", reward: str | Path | None = None) -> Scale:
    """Open the models of a scale.

    Args:
        name: "reduced" (small models on the CPU) or "modelscope" (ModelScopeT2V and HPSv2.0, on a GPU).
        reward: folder or checkpoint of another image reward, where HPSv2 is already on the disk for example.

    Returns:
        Models, frame size and device.

    Raises:
        InputError: an unknown scale, no GPU for "modelscope", or a model that cannot be opened.
    """
    from ivtutorial.models.named import open_model
    from ivtutorial.rewards.named import open_reward

    if name not in ("reduced", "modelscope"):
        raise InputError(f"IVTUTORIAL_SCALE = {name!r}: expected 'reduced' or 'modelscope'.")
    small = name == "reduced"
    if not small and not torch.cuda.is_available():
        raise InputError("The scale 'modelscope' needs a CUDA GPU, and there is none. Use 'reduced'.")
    device, dtype = ("cpu", torch.float32) if small else ("cuda", torch.float16)
    with _quiet():
        backbone = open_model(name, dtype, device)
        image_reward = open_reward(reward or ("reduced" if small else "hpsv2"), device, dtype)
    side = backbone.vae_factor * backbone.unet.config.sample_size
    return Scale(name, backbone, image_reward, (side, side), device)


def use_style() -> None:
    """Set matplotlib's defaults for the book.

    Plots keep a white background: as a light card they are readable on a dark page, too.
    """
    from cycler import cycler
    from matplotlib import rcParams

    lines = cycler(color=[BLUE, ORANGE, GREEN, PINK, YELLOW]) + cycler(marker=["o", "s", "^", "D", "v"])
    rcParams.update({"axes.prop_cycle": lines, "axes.spines.top": False, "axes.spines.right": False})
    rcParams.update({"figure.figsize": (7.0, 3.0), "figure.dpi": 120, "figure.constrained_layout.use": True})
    rcParams.update({"figure.facecolor": "white", "savefig.facecolor": "white", "axes.facecolor": "white"})
    rcParams.update({"font.size": 10.5, "axes.titlesize": 11, "axes.titlelocation": "left"})
    rcParams.update({"lines.markersize": 5, "legend.frameon": False, "axes.grid": False})


def film_strip(clip: Tensor) -> NDArray[np.float32]:
    """The frames of a clip in one row.

    Args:
        clip: (F, 3, H, W) in [0, 1].

    Returns:
        float32 (H, F * W, 3), as `plt.imshow` takes it.
    """
    row = clip.detach().float().cpu().permute(2, 0, 3, 1).flatten(1, 2)  # (H, F, W, 3) -> (H, F * W, 3)
    return row.numpy()


def seeded(seed: int) -> torch.Generator:
    """A source of random numbers on the CPU: the same seed gives the same numbers on every device."""
    return torch.Generator().manual_seed(seed)


def saved_bytes(function: Callable[[], Tensor], weights: Iterable[Tensor] = ()) -> int:
    """Bytes that autograd keeps for the backward pass of `function()`.

    Each piece of memory counts once, however many operations keep it. It is a count of tensors, not a reading
    of the machine's memory, so it is the same everywhere.

    Args:
        function: builds a graph and returns its end, which is then thrown away.
        weights: tensors that are there anyway and do not count, such as a model's parameters.

    Returns:
        Bytes.

    Example:
        >>> x = torch.ones(1000, requires_grad=True)
        >>> saved_bytes(lambda: x.exp())  # exp keeps its result: 1000 floats of 4 bytes
        4000
    """
    known = {tensor.untyped_storage().data_ptr() for tensor in weights}
    kept: dict[int, Any] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage  # held, so that its address is not used again
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        end = function()
    del end
    return sum(storage.nbytes() for storage in kept.values())


def check(function: Callable[..., Any], *cases: tuple[tuple[Any, ...], Any, str]) -> bool:
    """Try the function of an exercise and say how it went.

    Args:
        function: the reader's; one that returns None or `...` counts as not written yet.
        *cases: (arguments, expected, law): what it must return for these arguments, and the law behind it in
            words. `expected` may be a number, a tensor, anything that compares, or a function that is true of
            a right result.

    Returns:
        Whether every case is right.

    Example:
        >>> check(lambda x: 2 * x, ((3,), 6, "doubling 3 gives 6"))
        Right: doubling 3 gives 6.
        True
    """
    for arguments, expected, law in cases:
        found = function(*arguments)
        if found is None or found is ...:
            print(f"Not written yet: {function.__name__} returns {found}.")
            return False
        if not _agrees(found, expected):
            wanted = "" if callable(expected) else f", expected {expected}"
            print(f"Not yet: {law}. {function.__name__}{arguments!r} gives {found}{wanted}.")
            return False
    for _, _, law in cases:
        print(f"Right: {law}.")
    return True


def print_cost(scale: Scale) -> None:
    """Print the processor time and the largest memory of this notebook so far."""
    import time

    line = f"At the scale {scale.name} this chapter took {time.process_time():.0f} s of processor time"
    if peak := peak_memory_mb():
        line += f" and {peak:.0f} MiB of memory"
    if scale.device == "cuda":
        line += f", and {torch.cuda.max_memory_allocated() / 2**20:.0f} MiB of the GPU's"
    print(f"{line}.")


def _agrees(found: Any, expected: Any) -> bool:
    if callable(expected):
        return bool(expected(found))
    if isinstance(expected, (Tensor, float)):
        found, expected = torch.as_tensor(found).double(), torch.as_tensor(expected).double()
        return found.shape == expected.shape and torch.allclose(found, expected, rtol=1e-4, atol=1e-6)
    return bool(found == expected)


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back progress bars and open_clip's warning that weights come later, which a page would show."""
    import diffusers
    import transformers

    for library in (diffusers.utils.logging, transformers.utils.logging):
        library.disable_progress_bar()
    try:
        with no_warnings():
            yield
    finally:
        for library in (diffusers.utils.logging, transformers.utils.logging):
            library.enable_progress_bar()
