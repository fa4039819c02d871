"""The rewards that come with the package, by name. Help texts and messages are made from this table."""

from __future__ import annotations

# Name -> (module below ivtutorial.rewards, function (path, dtype=...) in it, what it is in words).
SHIPPED = {
    "hpsv2": ("hpsv2", "load_hpsv2", "HPSv2, the reward of the paper"),
    "hpsv2.1": ("hpsv2", "load_hpsv2_1", "its successor"),
    "pickscore": ("transformers_clip", "load_pickscore", "PickScore"),
    "imagereward": ("imagereward", "load_imagereward", "ImageReward (supplement H)"),
    "aesthetic": ("aesthetic", "load_aesthetic", "LAION's aesthetic score; ignores the caption"),
    "clip": ("transformers_clip", "load_clip_score", "the CLIP score"),
}
