"""Training clips without a data set: sampled from the base model itself.

The paper's clips, WebVid-10M, are no longer distributed. Fine-tuning needs them only as something to edit: noise is
added up to t_noi and the model takes it away again (Sec. 3.2.1), and the reward, not the clip, says what is better. The
model's own samples are such clips: they show what it can make, with its usual faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ivtutorial.sampling.clip_files import generate_files
from ivtutorial.sampling.generation import Sampling

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone

CLIPS = "clips"
NEARLY_LOSSLESS = 12  # nearly lossless: the model's faults are to be kept, the encoder's not added


def sample_clips(
    model: AnyBackbone | str | Path,
    captions: Sequence[str],
    folder: str | Path,
    sampling: Sampling = Sampling(),
    *,
    seed: int = 0,
    fps: float = 8.0,
    processes: int = 1,
    device: str | None = None,
    progress: bool = False,
) -> Path:
    """Sample one clip a caption into `folder/clips`, those that are missing.

    Args:
        model: a backbone, or a name or folder.
        captions: N texts; one that is there twice gives two clips.
        folder: made if absent.
        sampling: DDIM steps, guidance, frames, size, batch size; default the paper's.
        seed: of the noise.
        fps: frames a second of the files.
        processes: single-threaded processes that share the captions (CPU only).
        device: as for `ivtutorial.sampling.generation.generate`.
        progress: show a progress bar.

    Returns:
        `folder/clips`, a list for `ivtutorial.data.clips.read_clips`.

    Raises:
        InputError: as for `ivtutorial.sampling.clip_files.generate_files`.

    Example:
        >>> sample_clips("reduced", ["a red fox", "a deer"], "runs/own")  # doctest: +SKIP
    """
    clips = Path(folder) / CLIPS
    generate_files(
        model, captions, clips, seed, sampling,
        fps=fps, crf=NEARLY_LOSSLESS, processes=processes, device=device, progress=progress,
    )  # fmt: skip
    return clips
