"""What a run is set to where the user says nothing: by the GPU, and by the model.

By the GPU, as plain data; what `--preset` of the command line stands for. Where nobody names one and a run without
settings begins on a GPU, its memory chooses (see :func:`card_settings`):

| preset | card | precision | what it does |
|---|---|---|---|
| `t4` | 15 GiB without fast bf16, e.g. a free Colab | fp16, loss scaling | two clips, all recomputed, text outside |
| `8gb` | 8 GiB | fp16, loss scaling | one clip, as `t4`, and guidance in two passes |
| `24gb` | 24 GiB, e.g. RTX 3090, 4090, L4, A10 | bf16 | four clips, UNet and decoder recomputed |
| `a100` | 40 GiB | bf16 | eight clips, UNet and decoder recomputed |
| `h100` | 80 GiB | bf16 | eight clips, only the UNet recomputed |
| `16gb` | from 16 GiB, for Wan 2.1; CogVideoX: 24 | bf16 | one clip of 256x256, as `8gb` |
| `16gb-fp16` | the same without fast bf16, e.g. a T4 | fp16, loss scaling | as `16gb` |
| `80gb` | 80 GiB, for video transformers | bf16 | two clips, transformer and decoder recomputed |

Each makes 8 clips a step on one GPU, as the paper has on four. On N GPUs keep `batch_size * accumulation * N` at 8.
The method's settings (tau, D, K, S) are the same in all of them, and so is what is computed, up to rounding. None
sets a learning rate: that of a run follows from its method (see `rate_line`), whatever the card.

The batch is as wide as fits. Eleven of a step's twelve denoising steps record nothing, so their memory hardly grows
with it, and a wide batch hands a fast card fewer and larger operations: eight clips in one pass a quarter of those that
four passes of two have, which a processor may be too slow to hand over. On large cards recomputing the UNet makes room
for it, for 6 % more to compute (counted, `benchmarks/count_step.py`).

By the model, see :func:`with_defaults`:

| setting  | the paper's model | a video transformer (Wan 2.1)                                   |
|----------|-------------------|-----------------------------------------------------------------|
| `frames` | 16                | 17 = 1 + 4 * 4                                                  |
| `fps`    | 8                 | 16; CogVideoX 8, LTX-Video 25                                   |
| `tau`    | 0.6               | the share of the steps with the noise that 0.6 has in the paper |
| `guidance` | 3               | 5; CogVideoX 6, LTX-Video 3: that of its authors' pipeline      |

tau is a share of the steps everywhere. With shift 3, 5 or 8 a flow model has the paper's noise-to-signal ratio at 0.4,
0.3 or 0.2 of them (`ivtutorial.models.scheduler.same_noise`). The number is worked out here, once, and stands in the
run's config.json like one that was given; `tau = "noise:0.66"` asks for a noise level, 0 (clip) .. 1 (noise).
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.errors import InputError
from ivtutorial.models.memory import Memory
from ivtutorial.models.named import Clocks, clocks
from ivtutorial.models.scheduler import make_scheduler, same_noise, tau_of_noise
from ivtutorial.system.device import choose_device
from ivtutorial.training.config import PAPER_LR, FinetuneConfig, read_settings, settings_group
from ivtutorial.training.run_folder import CONFIG_FILE

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone

NOISE = "noise:"
logger = logging.getLogger(__name__)

_RECOMPUTE = {"recompute_unet": True, "recompute_decode": True, "decode_chunk": 1}
_SMALL = {**_RECOMPUTE, "recompute_reward": True, "offload_text": True}

PRESETS: dict[str, dict[str, Any]] = {
    "t4": {"batch_size": 2, "accumulation": 4, "precision": "fp16", "memory": _SMALL},
    "8gb": {
        "batch_size": 1,
        "accumulation": 8,
        "precision": "fp16",
        "memory": {**_SMALL, "guidance_passes": 2},
    },
    "24gb": {
        "batch_size": 4,
        "accumulation": 2,
        "precision": "bf16",
        "memory": {**_RECOMPUTE, "offload_text": True},
    },
    "a100": {
        "batch_size": 8,
        "accumulation": 1,
        "precision": "bf16",
        "memory": {"recompute_unet": True, "recompute_decode": True},
    },
    "h100": {"batch_size": 8, "accumulation": 1, "precision": "bf16", "memory": {"recompute_unet": True}},
}

# For video transformers, whose decoder needs more: a chunk of frames at a time. With 16gb 8.3 GiB in all for a clip of
# 17 frames of 256x256 pixels, counted by benchmarks/count_wan.py. At 480x832 one clip needs more than 24 GiB, unless
# `decoder` names a tiny one. `two_phase` would save little (8.0 GiB) for one more pass of the network, so it stays off.
_ONE_CLIP = {"batch_size": 1, "accumulation": 8, "height": 256, "width": 256}
_ONE_CLIP_MEMORY = {**_SMALL, "guidance_passes": 2}

DIT_PRESETS: dict[str, dict[str, Any]] = {
    "16gb": {**_ONE_CLIP, "precision": "bf16", "memory": _ONE_CLIP_MEMORY},
    "16gb-fp16": {**_ONE_CLIP, "precision": "fp16", "memory": _ONE_CLIP_MEMORY},
    "80gb": {
        "batch_size": 2,
        "accumulation": 4,
        "precision": "bf16",
        "memory": {"recompute_unet": True, "recompute_decode": True},
    },
}


# What presets set: of a pair neither is a matter of the card where the other is given.
_PAIRS: tuple[set[str], ...] = ({"batch_size", "accumulation"}, {"height", "width"})
_BY_CARD = ("precision", "memory", "batch_size", "accumulation", "height", "width")


def preset(name: str) -> dict[str, Any]:
    """A copy of the settings of one preset, as a part of a run's configuration.

    Args:
        name: "t4", "8gb", "24gb", "a100" or "h100"; for video transformers "16gb", "16gb-fp16" or "80gb".

    Raises:
        InputError: an unknown name.

    Example:
        >>> preset("8gb")["memory"]["guidance_passes"]
        2
    """
    known = PRESETS | DIT_PRESETS
    if name not in known:
        raise InputError(f"Unknown preset {name!r}: there are {', '.join(known)}.")
    return copy.deepcopy(known[name])


def preset_for(memory: float, bf16: bool, transformer: bool = False) -> str:
    """The preset for a card, where none is given.

    Args:
        memory: of the card, in GiB.
        bf16: whether it multiplies bf16 numbers fast (Ampere and newer).
        transformer: whether the model is a video transformer.

    Example:
        >>> preset_for(14.7, bf16=False), preset_for(79.0, bf16=True), preset_for(79.0, bf16=True, transformer=True)
        ('t4', 'h100', '80gb')
    """
    if transformer and not bf16:
        return "16gb-fp16"
    if transformer:
        return "16gb" if memory < 70 else "80gb"
    if memory < 12:
        return "8gb"
    if memory < 20 or not bf16:
        return "t4"
    if memory < 38:
        return "24gb"
    return "a100" if memory < 70 else "h100"


def preset_here(model: AnyBackbone | str | Path = "modelscope") -> str:
    """The preset for this machine's GPUs; where they differ, for the smallest, so that all processes agree.

    Args:
        model: by name, or opened; its weights are not read.

    Raises:
        InputError: no such model.
    """
    cards = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    memory, bf16 = min(card.total_memory for card in cards) / 2**30, all(card.major >= 8 for card in cards)
    return preset_for(memory, bf16, transformer=clocks(model).schedule is not None)


def preset_of_card(model: AnyBackbone | str | Path, device: str | None = None) -> str | None:
    """The preset for this machine's GPUs, if a run would use them and needs one.

    Args:
        model: by name; the small one needs none, nor does a backbone, which is where and as its owner opened it.
        device: "cpu", "cuda" or None, as for `ivtutorial.training.finetuning.finetune`.

    Raises:
        InputError: no such model or device.
    """
    if not isinstance(model, (str, Path)) or str(model) == "reduced" or choose_device(device).type == "cpu":
        return None
    return preset_here(model)


def card_settings(
    model: AnyBackbone | str | Path, device: str | None = None, given: Mapping[str, Any] = MappingProxyType({})
) -> dict[str, Any]:
    """What the GPU decides about a run for which no preset is named, and a line in the log that says so.

    Nothing on a CPU, and nothing where precision or memory are given. Of two settings that belong together, such as
    the clips of a pass and the passes of a step, none is decided where one is given.

    Args:
        model: as for `preset_of_card`; so is device.
        device: see model.
        given: settings of the user, as of `FinetuneConfig.to_dict`, any part of them.
    """
    decided = {"precision", "memory"} & given.keys()
    name = None if decided else preset_of_card(model, device)
    if name is None:
        return {}
    _say("no preset is given: %s, by the memory of the GPU", name)
    taken = {other for pair in _PAIRS if given.keys() & pair for other in pair}
    return {setting: value for setting, value in preset(name).items() if setting not in taken}


def advise_preset(config: FinetuneConfig, model: AnyBackbone | str | Path, device: str | None = None) -> None:
    """Warns of settings that fill a GPU for no reason: everything in float32 and nothing of its memory saved.

    They stay as they are: whether a value was chosen or left at its default cannot be told from a configuration.

    Args:
        config: of a run.
        model: as for `preset_of_card`; so is device.
        device: see model.
    """
    if config.precision == "fp32" and config.memory == Memory() and (name := preset_of_card(model, device)):
        _say(
            "precision = 'fp32' and memory = Memory() on a GPU: a full-size model needs 78 GiB so. The preset for its "
            "memory is %s: --preset %s, or dataclasses.replace(default_config(model), ...) in place of FinetuneConfig.",
            name, name,
        )  # fmt: skip


def _say(*message: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        logger.warning(*message)


def default_config(
    model: AnyBackbone | str | Path, device: str | None = None, run: Path | None = None
) -> FinetuneConfig:
    """The settings of a run on a model for which nothing else is said; on a GPU with the preset for its memory.

    Args:
        model: by name, or opened; its weights are not read.
        device: as for `ivtutorial.training.finetuning.finetune`.
        run: folder of a run that goes on: what the GPU decided when it began stays, whatever the GPU is now.

    Example:
        >>> default_config("wan2.1-1.3b").method.tau  # doctest: +SKIP
        0.4
    """
    if run is not None and (run / CONFIG_FILE).is_file() and preset_of_card(model, device):
        begun = read_settings(run)
        settings = {name: begun[name] for name in _BY_CARD if name in begun}
    else:
        settings = card_settings(model, device)
    return FinetuneConfig.from_dict(with_defaults(settings, model))


def with_defaults(settings: Mapping[str, Any], model: AnyBackbone | str | Path) -> dict[str, Any]:
    """Settings as plain values, completed for a model; what is given stays, and a noise level becomes a tau.

    Args:
        settings: as of `FinetuneConfig.to_dict`, any part of them.
        model: by name, or opened; its weights are not read.

    Raises:
        InputError: no such model, or a noise level out of range.
    """
    usual = clocks(model)
    method = settings_group(settings.get("method", {}), "method")
    tau, D = method.get("tau"), method.get("D", 20)
    if isinstance(tau, str):
        method["tau"] = tau_of_noise(usual.schedule or make_scheduler(), _level(tau), D)
    elif tau is None and usual.schedule is not None and _of(method, "tau"):
        usual_tau, skipped = _of(method, "tau"), method.get("skip_last", _of(method, "skip_last")) or 0
        method["tau"] = max(same_noise(usual.schedule, usual_tau, D), (skipped + 1) / D)  # one step is left to draw
    if usual.guidance != Clocks.guidance and _of(method, "guidance"):
        method.setdefault("guidance", usual.guidance)
    return {"frames": usual.frames, "fps": usual.fps, **settings, **({"method": method} if method else {})}


def rate_line(config: FinetuneConfig) -> str | None:
    """What a run reports about a learning rate that is not InstructVideo's; None for methods that take the same.

    Example:
        >>> rate_line(FinetuneConfig.from_dict({"method": {"name": "QuickEdit"}}))
        "learning rate 4e-06: QuickEdit's, 0.4 of InstructVideo's 1e-05; --lr sets another"
    """
    share, name = config.method.lr_share, type(config.method).__name__
    if share == 1:
        return None
    if config.lr == round(share * PAPER_LR, 12):
        return f"learning rate {config.lr:g}: {name}'s, {share:g} of InstructVideo's {PAPER_LR:g}; --lr sets another"
    return f"learning rate {config.lr:g}, as given; {name} needs {share:g} of the rate that suits InstructVideo"


def _of(method: Mapping[str, Any], setting: str) -> Any:
    """The default of a method's setting; None where it has no such setting."""
    name = {"name": method["name"]} if "name" in method else {}
    return getattr(FinetuneConfig.from_dict({"method": name}).method, setting, None)


def _level(text: str) -> float:
    try:
        if text.startswith(NOISE):
            return float(text.removeprefix(NOISE))
    except ValueError:
        pass
    raise InputError(f"tau = {text!r}: expected a share of the steps in (0, 1], or a noise level such as 'noise:0.66'.")
