"""What settings and functions refuse: numbers, choices, latents, frames, captions, scores.

Settings are checked in `__post_init__`, one line a rule; each check raises for the first value that breaks it:

    whole(self, steps=1, warmup=0)      # whole numbers of at least 1 and 0
    positive(self, "lr", "fps")         # finite, > 0
    not_negative(self, "guidance")      # finite, >= 0
    finite(self, "threshold")           # finite, or None
    share(self, "caption_dropout")      # 0 <= p < 1
    within(self, eta=(0, 1))            # 0 <= eta <= 1
    one_of(self, selection=("random", "first"))
    switches(self)                      # every field that is a bool holds one
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Collection, Sequence
from numbers import Integral
from typing import Any, TypeGuard

from torch import Tensor

from ivtutorial.errors import InputError


def whole(settings: object, **least: int) -> None:
    """Refuse settings that are not whole numbers of at least the given ones; numpy's become Python's, as JSON needs.

    Raises:
        InputError: the first of them.
    """
    for name, low in least.items():
        value = getattr(settings, name)
        if isinstance(value, Integral) and not isinstance(value, int):
            value = int(value)
            object.__setattr__(settings, name, value)  # they are frozen
        if not is_whole(value, low):
            raise InputError(f"{name} = {value!r}: expected a whole number of at least {low}.")


def is_whole(value: Any, low: int, high: float = math.inf) -> TypeGuard[int]:
    """Whether a value is a whole number from `low` to `high`; True and False are none.

    Example:
        >>> is_whole(1, 1), is_whole(True, 1), is_whole(2.0, 1), is_whole(3, 1, 2)
        (True, False, False, False)
    """
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def positive(settings: object, *names: str) -> None:
    """Refuse settings that are not finite numbers above 0.

    Raises:
        InputError: the first of them.
    """
    _numbers(settings, names, lambda value: 0 < value < math.inf, "a positive number")


def not_negative(settings: object, *names: str) -> None:
    """Refuse settings that are not finite numbers of at least 0.

    Raises:
        InputError: the first of them.
    """
    _numbers(settings, names, lambda value: 0 <= value < math.inf, "a finite number >= 0")


def finite(settings: object, *names: str) -> None:
    """Refuse settings that are neither finite numbers nor None.

    Raises:
        InputError: the first of them.
    """
    given = [name for name in names if getattr(settings, name) is not None]
    _numbers(settings, given, math.isfinite, "a finite number, or None")


def share(settings: object, *names: str) -> None:
    """Refuse settings that are not a share, 0 <= p < 1.

    Raises:
        InputError: the first of them.
    """
    for name in names:
        if not is_share(value := getattr(settings, name)):
            raise InputError(f"{name} = {value!r}: expected a share from 0 up to, not including, 1.")


def is_share(value: Any) -> bool:
    """Whether a value is a number from 0 up to, not including, 1; True and False are none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < 1


def within(settings: object, **bounds: tuple[float, float]) -> None:
    """Refuse settings outside their bounds, which are allowed themselves.

    Raises:
        InputError: the first of them.
    """
    for name, (low, high) in bounds.items():
        _numbers(settings, (name,), lambda value, a=low, b=high: a <= value <= b, f"a number from {low} to {high}")


def one_of(settings: object, **choices: Collection[Any]) -> None:
    """Refuse settings that are none of the choices.

    Raises:
        InputError: the first of them, with the choices.
    """
    for name, known in choices.items():
        value = getattr(settings, name)
        if value not in known:
            raise InputError(f"{name} = {value!r}: expected one of {', '.join(map(str, known))}.")


def switches(settings: Any) -> None:
    """Refuse a dataclass whose fields of type bool hold anything else: the text "False" would switch on.

    Raises:
        InputError: the first of them.
    """
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        if field.type in ("bool", bool) and not isinstance(value, bool):
            raise InputError(f"{field.name} = {value!r}: expected true or false.")


def _numbers(settings: object, names: Sequence[str], holds: Callable[..., bool], expected: str) -> None:
    for name in names:
        value = getattr(settings, name)
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not (number and holds(value)):
            raise InputError(f"{name} = {value!r}: expected {expected}.")


def check_latents(z: Tensor, channels: int | None = None) -> None:
    """Refuse anything but a floating-point batch of video latents (B, C, F, h, w).

    Raises:
        InputError: type and shape that were given, and what was expected.
    """
    expected = f"(B, {channels or 'C'}, F, h, w)"
    if z.ndim != 5 or not z.is_floating_point() or (channels is not None and z.shape[1] != channels):
        raise InputError(f"latents are {z.dtype} of shape {tuple(z.shape)}: expected floats of shape {expected}.")


def check_tensor(value: Any, what: str) -> None:
    """Refuse an array or list where a torch tensor is expected.

    Args:
        value: given.
        what: it should be, such as "Frames".

    Raises:
        InputError: it is no tensor.
    """
    if not isinstance(value, Tensor):
        raise InputError(f"{what} must be a torch tensor, got {type(value).__name__}. Use torch.as_tensor.")


def check_frames(frames: Tensor, captions: Sequence[str] | None = None) -> None:
    """Reject input that would be scored silently wrong.

    Values that are not numbers pass: they give a score that is not a number, which a training loop guards
    against. On a GPU the values of frames with gradient are not looked at, since that would wait for the GPU:
    `ivtutorial.method.video_reward.score_frames` has looked at them before.

    Args:
        frames: must be (N, 3, H, W), floating point, within [0, 1] (up to 1e-3 for rounding in half
            precision).
        captions: where given, must be N strings.

    Raises:
        InputError: with the offending value, what was expected and the fix.
    """
    check_tensor(frames, "Frames")
    if frames.ndim != 4 or frames.shape[1] != 3:
        raise InputError(f"Frames must have shape (N, 3, H, W), got {tuple(frames.shape)}.")
    if not frames.is_floating_point():
        raise InputError(f"Frames must be floats in [0, 1], got {frames.dtype}. Divide 8-bit values by 255.")
    if frames.numel() and (frames.device.type == "cpu" or not frames.requires_grad):
        _check_range(*frames.detach().aminmax())
    if captions is not None:
        check_captions(captions, len(frames))


def _check_range(low: Tensor, high: Tensor) -> None:
    lowest, highest = low.item(), high.item()  # one wait: the second number is there when the first one is
    if lowest < -1e-3 or highest > 1 + 1e-3:
        raise InputError(
            f"Frames must lie in [0, 1], got [{lowest:.3g}, {highest:.3g}]. Map [-1, 1] by frames * 0.5 + 0.5; "
            "divide 8-bit values by 255."
        )


def check_captions(captions: Sequence[str], n: int | None = None) -> None:
    """Reject captions that are not a sequence of strings, or not `n` of them.

    Raises:
        InputError: with the offending value and the fix.
    """
    if isinstance(captions, str) or not isinstance(captions, Sequence):
        raise InputError(f"Captions must be a list of strings, got {captions!r}. Put a single caption in a list.")
    for caption in captions:
        if not isinstance(caption, str):
            raise InputError(f"A caption must be text, got {caption!r} ({type(caption).__name__}).")
    if n is not None and len(captions) != n:
        raise InputError(f"Expected one caption per frame: {n} frames, {len(captions)} captions. Repeat or trim them.")


def check_scores(scores: Any, n: int) -> Tensor:
    """What a reward returned for n frames, if it is one score a frame.

    Raises:
        InputError: not a tensor, or of another shape.
    """
    if not isinstance(scores, Tensor):
        raise InputError(f"the image reward returned {type(scores).__name__}: expected a torch tensor of {n} scores.")
    if scores.shape != (n,):
        raise InputError(
            f"the image reward returned shape {tuple(scores.shape)}: expected one score for each of {n} frames."
        )
    return scores
