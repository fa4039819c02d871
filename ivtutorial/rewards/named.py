"""Rewards by name, as the command line and configuration files write them.

| text | reward |
|---|---|
| `reduced` | `data/models/reward`, the small HPS of the reduced world |
| a name | one of `ivtutorial.rewards.shipped` |
| `NAME:PATH ` | the same, from a file, a folder or another hub name |
| a folder | an open_clip model, as `ClipReward.save` writes it |
| a file (.pt, .pth, .bin) | an HPSv2 checkpoint |
| `package.module:function` | your own: any (frames, captions) -> scores |
| `0.7*hpsv2 + 0.02*aesthetic` | a weighted sum of any of these |

Your own module is looked for where Python looks, and in the current folder. It is imported, so it is trusted.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, cast

import torch

from ivtutorial.errors import InputError
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rewards.shipped import SHIPPED
from ivtutorial.system.files import data_path
from ivtutorial.system.out_of_memory import OPENING_OPTIONS, explain_out_of_memory

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".bin")
_NUMBER = r"[-+]?\d*\.?\d+(?:[eE][-+]?\d+)?"
_TERM = re.compile(rf"\s*({_NUMBER})\s*\*\s*(.+?)\s*")
_BETWEEN = re.compile(rf"\s*\+\s*(?={_NUMBER}\s*\*)")
_FUNCTION = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)")


def open_reward(
    reward: ImageReward | str | Path, device: str | torch.device | None = None, dtype: torch.dtype | None = None
) -> ImageReward:
    """An image reward by name, folder, HPSv2 checkpoint file, function or mixture; or an object, which is returned.

    Args:
        reward: "reduced", anything in the table of the module, or an image reward.
        device: where to put it, by default the CPU; an object with a method `to` is moved only where one is given.
        dtype: of its weights, float32 by default; those of an object stay as they are.

    Raises:
        InputError: nothing usable there, an object that cannot be called, or the GPU's memory is too small.
    """
    if not isinstance(reward, (str, Path)):
        if not callable(reward):
            raise InputError(f"A reward is a function (frames, captions) -> scores, got {reward!r}.")
        if device is not None and callable(getattr(reward, "to", None)):
            with explain_out_of_memory(OPENING_OPTIONS):
                cast(Any, reward).to(device)
        return reward
    folders = {"reduced": data_path("models", "reward")} if "reduced" in str(reward) else {}
    with explain_out_of_memory(OPENING_OPTIONS):
        return open_named(str(reward), device or "cpu", dtype or torch.float32, folders)


def open_named(
    text: str,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
    folders: Mapping[str, str | Path] | None = None,
) -> ImageReward:
    """The reward that `text` names, see the module.

    Args:
        text: name, path, function or mixture.
        device: where to put it.
        dtype: of the weights of the large networks; scores are float32 in any case. A user's function is left alone.
        folders: further names, each with its folder or file.

    Raises:
        InputError: nothing of that name, or it cannot be had; the message says what was expected.

    Example:
        >>> reward = open_named("0.7*hpsv2 + 0.02*aesthetic", "cuda", torch.float16)  # doctest: +SKIP
    """
    own = dict(folders or {})
    if text in own or (text and Path(text).exists()):
        return _open_path(Path(own.get(text, text)), dtype).to(device)
    if _TERM.fullmatch(text):
        from ivtutorial.rewards.combine import WeightedSum

        return WeightedSum([_term(part, device, dtype, own) for part in _BETWEEN.split(text)])
    name, colon, path = text.partition(":")
    if name in SHIPPED and bool(colon) == bool(path):
        module, function, _ = SHIPPED[name]
        load = getattr(importlib.import_module(f"ivtutorial.rewards.{module}"), function)
        shipped: Any = load(path or None, dtype=dtype).to(device)
        return cast(ImageReward, shipped)
    if match := _FUNCTION.fullmatch(text):
        return _import(match[1], match[2])
    raise InputError(f"No reward {text!r}: {_advice(text, {'reduced': '', **own})}")


def _advice(text: str, own: Mapping[str, str | Path]) -> str:
    """What was expected instead of a text that names no reward."""
    names = [*own, *SHIPPED]
    if re.search(r"\S\s+[-+]\s|\*", text):
        return "in a sum every term is WEIGHT*REWARD, such as '0.7*hpsv2 + -0.02*aesthetic'."
    near = get_close_matches(text.lower(), names, n=1)
    hint = f"did you mean {near[0]!r}? There are" if near else "expected"
    return (
        f"{hint} {', '.join(names)}, one of these with a file or folder of its own (NAME:PATH), a folder, an HPSv2 "
        "checkpoint file, package.module:function, or a sum such as '0.7*hpsv2 + 0.02*aesthetic'."
    )


def _term(
    part: str, device: str | torch.device, dtype: torch.dtype, folders: Mapping[str, str | Path]
) -> tuple[float, ImageReward]:
    match = _TERM.fullmatch(part)
    if match is None:
        raise InputError(f"{part!r} is no term of a mixture: expected WEIGHT*REWARD, such as 0.5*hpsv2.")
    return float(match[1]), open_named(match[2], device, dtype, folders)


def _open_path(path: Path, dtype: torch.dtype) -> Any:
    if path.suffix in CHECKPOINT_SUFFIXES:
        from ivtutorial.rewards.hpsv2 import load_hpsv2

        return load_hpsv2(path, "v2.1" if "2.1" in path.name else "v2.0", dtype=dtype)
    from ivtutorial.rewards.clip import ClipReward

    return ClipReward.from_folder(path, dtype=dtype)


def _import(module: str, function: str) -> ImageReward:
    with _current_folder_importable():
        try:
            reward = getattr(importlib.import_module(module), function, None)
        except ImportError as error:
            raise InputError(
                f"Cannot import the reward's module {module!r} ({error}). Run the command in its folder, or install it."
            ) from error
    if not callable(reward):
        raise InputError(f"{module} has no function {function!r}: expected (frames, captions) -> scores.")
    try:
        inspect.signature(reward).bind("frames", "captions")
    except ValueError:
        pass  # a builtin has no signature to look at
    except TypeError as error:
        raise InputError(f"{module}:{function} is not (frames, captions) -> scores: {error}.") from error
    return cast(ImageReward, reward)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
