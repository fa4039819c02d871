"""Image rewards: frames in [0, 1] and captions in, one differentiable score per frame out.

| module | reward |
|---|---|
| `base` | what an image reward is |
| `preprocess` | how a frame becomes what a reward model looks at |
| `clip`, `hf_clip` | the cosine of CLIP's features: open_clip's models, and those of transformers with PickScore |
| `hpsv2` | HPSv2 and HPSv2.1 |
| `imagereward`, `aesthetic` | ImageReward, LAION's aesthetic score |
| `combine` | weighted sums; a reward that is recomputed in the backward pass |
| `named` | all of them by name, and your own |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ivtutorial.rewards.base import ImageReward, check_captions, check_frames

if TYPE_CHECKING:
    from ivtutorial.rewards.clip import ClipReward
    from ivtutorial.rewards.hpsv2 import load_hpsv2

__all__ = ["ClipReward", "ImageReward", "check_captions", "check_frames", "load_hpsv2"]


def __getattr__(name: str) -> Any:
    # open_clip takes seconds to import, so it is only imported where a CLIP reward is asked for.
    if name == "ClipReward":
        from ivtutorial.rewards import clip

        return clip.ClipReward
    if name == "load_hpsv2":
        from ivtutorial.rewards import hpsv2

        return hpsv2.load_hpsv2
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
