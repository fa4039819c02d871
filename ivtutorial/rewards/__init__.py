"""Image rewards: frames in [0, 1] and captions in, one differentiable score per frame out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ivtutorial.rewards.base import ImageReward, check_captions, check_frames

if TYPE_CHECKING:
    from ivtutorial.rewards.clip import ClipReward, load_hpsv2

__all__ = ["ClipReward", "ImageReward", "check_captions", "check_frames", "load_hpsv2"]


def __getattr__(name: str) -> Any:
    # open_clip takes seconds to import, so it is only imported where a CLIP reward is asked for.
    if name in ("ClipReward", "load_hpsv2"):
        from ivtutorial.rewards import clip

        return getattr(clip, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
