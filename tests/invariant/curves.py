"""Ten steps of every method on the shipped reduced model, with fixed seeds: the numbers that a rewrite must not move.

    python -m tests.invariant.curves      # writes curves.json anew, after a change that is meant to move them

Stored are `loss`, `frame_reward` and `grad_norm` of each step, as `finetune` logs them.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import ivtutorial as iv
from ivtutorial.system.files import data_path
from ivtutorial.system.provenance import provenance

STORED = Path(__file__).with_name("curves.json")
COLUMNS = ("loss", "frame_reward", "grad_norm")
CLIPS = ("fox/00.mp4", "bear/00.mp4", "horse/00.mp4")

SHARED: dict[str, Any] = {"D": 4, "S": 2}
METHODS = {
    "InstructVideo": iv.InstructVideo(tau=0.5, **SHARED),
    "Draft": iv.Draft(**SHARED),
    "RWR": iv.RWR(group=2, inner_updates=2, **SHARED),
    "DDPO": iv.DDPO(group=2, K=1, inner_updates=2, **SHARED),
    "Supervised": iv.Supervised(**SHARED),
    "DirectAlign": iv.DirectAlign(tau=1.0, **SHARED),
}
CONFIG = iv.FinetuneConfig(steps=10, lr=1e-3, warmup=0, frames=4, batch_size=1, checkpoint_every=10, trackers=())


def curves(names: tuple[str, ...] = tuple(METHODS)) -> dict[str, dict[str, list[float]]]:
    """For each method the columns of its log: {"Draft": {"loss": [ten numbers], ...}, ...}."""
    folder = data_path("clips")
    clips = [clip for clip in iv.read_clips(folder) if clip.path.relative_to(folder).as_posix() in CLIPS]
    backbone, reward, result = iv.open_model("reduced"), iv.open_reward("reduced"), {}
    with tempfile.TemporaryDirectory() as place:
        for name in names:
            config = replace(CONFIG, method=METHODS[name])
            out, cache = Path(place) / name, Path(place) / "cache"
            rows = iv.finetune(backbone, clips, reward, out, config, cache=cache, progress=False).metrics
            result[name] = {column: [row[column] for row in rows] for column in COLUMNS if column in rows[0]}
    return result


def main() -> None:
    stored = {"made_by": "python -m tests.invariant.curves", **provenance(CONFIG.seed), "curves": curves()}
    STORED.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
