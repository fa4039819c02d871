"""What an evaluation has measured before it is finished: a file for each batch, from which the same command goes on.

OUT/unfinished/JOB-NNNN-SEED.safetensors    frames (B, 1, H, W, 3) uint8, thumbnails (B, 3, F', 8, 8) float32, and the
                                            rows, with the hash of each clip's file, as JSON; NNNN and SEED are those
                                            of the first clip

JOB is a hash of all that decides the numbers. A batch is taken over where its file is whole and its clips are those
that were written; any other is sampled again. As batches stay what they are, and each clip has noise of its own
(`ivtutorial.sampling.generation.clip_generator`), the table is that of an evaluation without a break, bit for bit.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from ivtutorial.data.prompts import Prompt
from ivtutorial.errors import InputError
from ivtutorial.evaluation.scoring import SCORED_TOGETHER
from ivtutorial.rewards.base import HasTextTower
from ivtutorial.sampling.clip_files import model_parts
from ivtutorial.sampling.generation import Job
from ivtutorial.system.files import atomic_write, key, sha256
from ivtutorial.system.provenance import versions
from ivtutorial.system.share import rank_and_world
from ivtutorial.video.reader import Frames
from ivtutorial.weights.inside import identity_inside

if TYPE_CHECKING:
    from ivtutorial.evaluation.judging import ClipJudge
    from ivtutorial.models.named import AnyBackbone
    from ivtutorial.rewards.base import ImageReward

FOLDER, VERSION = "unfinished", 1  # of the files, and of how what they hold is measured

logger = logging.getLogger(__name__)


class MeasuredClip(NamedTuple):
    """What is kept of a clip: its row of the table, its middle frame (1, H, W, 3), and what diversity looks at."""

    row: dict[str, Any]
    frame: Frames
    thumbnail: Tensor


@dataclass(frozen=True)
class Unfinished:
    """The batches of one evaluation that are measured.

    Attributes:
        out: folder of the evaluation.
        job: what names it.
    """

    out: Path
    job: str

    @classmethod
    def of(
        cls,
        out: Path,
        backbone: AnyBackbone,
        reward: ImageReward,
        judge: ClipJudge | None,
        prompts: Sequence[Prompt],
        jobs: Sequence[Job],
        numbers: Sequence[Any],
    ) -> Unfinished:
        """Of this evaluation; the first process removes what is there of others, and says so.

        Args:
            out: folder of the evaluation.
            backbone: with its adapter.
            reward: as it was opened.
            judge: or None.
            prompts: with their facts.
            jobs: of all processes.
            numbers: everything else that decides a number; each with a `repr` that says all of it.
        """
        model = model_parts(backbone)
        adapted = [layer for layer in backbone.unet.modules() if hasattr(layer, "lora_A")]
        scales = [(dict(layer.scaling), layer.disable_adapters) for layer in adapted]  # in no weight to be seen
        objects = [identity_inside(thing) for thing in (reward, judge)]
        made_of = [list(prompts), list(jobs), list(numbers), scales, VERSION, versions().get("ivtutorial")]
        unfinished = cls(out, key(model, objects, repr(made_of))[:16])
        if rank_and_world()[0] == 0:
            unfinished._remove_others()
        return unfinished

    def read(self, batch: Sequence[Job]) -> list[MeasuredClip] | None:
        """The clips of a batch, as `write` got them; None where they, or the files of their clips, are not there."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(batch), "pt") as file:
                frames, thumbnails = file.get_tensor("frames"), file.get_tensor("thumbnails")
                facts = json.loads(file.metadata()["clips"])
            now = [sha256(self.out / row["clip"]) for row in facts["rows"]]
            if now != facts["files"]:
                return None
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, InputError):
            return None
        return [MeasuredClip(*parts) for parts in zip(facts["rows"], frames.numpy(), thumbnails, strict=True)]

    def write(self, batch: Sequence[Job], clips: Sequence[MeasuredClip]) -> None:
        """Keep what was measured of a batch, whose clips are written.

        Raises:
            InputError: the folder cannot be written.
        """
        from safetensors.torch import save

        rows = [clip.row for clip in clips]
        facts = {"rows": rows, "files": [sha256(self.out / row["clip"]) for row in rows]}
        tensors = {
            "frames": torch.stack([torch.from_numpy(clip.frame) for clip in clips]),
            "thumbnails": torch.stack([clip.thumbnail for clip in clips]),
        }
        with atomic_write(self._path(batch)) as file:
            file.write(save(tensors, metadata={"clips": json.dumps(facts)}))

    def _path(self, batch: Sequence[Job]) -> Path:
        return self.out / FOLDER / f"{self.job}-{batch[0].index:04d}-{batch[0].seed}.safetensors"

    def _remove_others(self) -> None:
        others = [
            path for path in (self.out / FOLDER).glob("*.safetensors") if not path.name.startswith(f"{self.job}-")
        ]
        for path in others:
            path.unlink(missing_ok=True)
        if others:
            logger.warning(
                "%s: what was measured before the interruption (%d batches) has other weights or settings: removed; "
                "the evaluation begins again", self.out, len(others),
            )  # fmt: skip


def remove_unfinished(out: Path) -> None:
    """When the table is written its batches are needed no more."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def encode_together(captions: Sequence[str], backbone: AnyBackbone, reward: ImageReward) -> None:
    """Encode the captions of a batch that is not sampled, together, as sampling and scoring it would have done.

    A caption is encoded once, and the last bits depend on which ones are encoded with it; a later batch may have it,
    too, with another seed.
    """
    backbone.embed(captions)
    if isinstance(reward, HasTextTower):
        for start in range(0, len(captions), SCORED_TOGETHER):
            reward.text_features(captions[start : start + SCORED_TOGETHER])
