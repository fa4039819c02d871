"""Encoded clips on disk, one safetensors file a clip, found by what is in it and by what encoded it.

CACHE/<encoder>/about.json                what encoded: model, frames, rate, size
CACHE/<encoder>/<content>.safetensors     latents (C, F, h, w) float32, times the VAE's scaling factor

<encoder> is a hash of the VAE's weights and precision and of the frame settings, <content> one of the video file's
bytes and of the second the clip starts at. So a renamed file is found again, an added one is the only one encoded, a
cut-off encoding goes on where it stopped, and latents can never be taken for another model's or clip's.

Nothing here is drawn at random: frames are the first F from the start of the clip, cut in the centre, and the latents
are the posterior's mean. So the number of processes does not matter.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ivtutorial.data.lists import Clip
from ivtutorial.errors import InputError
from ivtutorial.system.files import atomic_write, atomic_write_text, key, sha256
from ivtutorial.system.out_of_memory import ENCODING_OPTIONS, explain_out_of_memory
from ivtutorial.video.pyav import NoPyAV
from ivtutorial.video.reader import Frames, read_video

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone


@dataclass(frozen=True)
class FrameSettings:
    """Which frames of a video make a clip.

    Attributes:
        frames: F, at least 1. fps: frames a second to sample at. height, width: in pixels.
    """

    frames: int
    fps: float
    height: int
    width: int

    @classmethod
    def of(cls, backbone: AnyBackbone, frames: int, fps: float, height: int | None, width: int | None) -> FrameSettings:
        """With the model's own size where none is given.

        Raises:
            InputError: the model has no size of its own, or the VAE cannot encode this one.
        """
        cells, factor = backbone.latent_shape(frames, height, width)[2:], backbone.vae_factor
        sides = [side or cell * factor for side, cell in zip((height, width), cells)]
        if any(side % factor for side in sides):
            raise InputError(f"{sides[0]}x{sides[1]} pixels: height and width must be multiples of {factor}.")
        return cls(frames, float(fps), sides[0], sides[1])


class LatentCache:
    """The latents of one model with one choice of frames, below a folder.

    Args:
        folder: of all caches; made when the first clip is stored.
        backbone: encodes.
        settings: which frames.
    """

    def __init__(self, folder: str | Path, backbone: AnyBackbone, settings: FrameSettings) -> None:
        self.settings = settings
        self.about = {**backbone.encoding, **asdict(settings)}
        self.folder = Path(folder) / key(self.about)[:20]
        self._backbone = backbone

    def path(self, clip: Clip) -> Path:
        """Where the latents of a clip are, or would be.

        Raises:
            InputError: the video cannot be read.
        """
        content = clip.sha256 or sha256(clip.path)
        return self.folder / f"{key(content, float(clip.start))[:20]}.safetensors"

    def read(self, clip: Clip) -> Tensor:
        """Latents (C, F, h, w) of a clip that is stored.

        Raises:
            InputError: not there, or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.path(clip)
        try:
            return load_file(path)["latents"]
        except (OSError, SafetensorError, KeyError) as error:
            raise InputError(f"the latent cache {path} is damaged ({error}). Delete it; it is made again.") from error

    def fill(self, clips: Sequence[Clip], advance: Callable[[int], None] = lambda count: None) -> dict[int, str]:
        """Encode every clip that is not there yet; one at a time, so that only one is in memory.

        Args:
            clips: files and captions.
            advance: called with the number of clips done.

        Returns:
            What is wrong with each clip that cannot be read, by its place in the list. The others are stored.

        Raises:
            InputError: the cache cannot be written, the GPU's memory is too small, or PyAV is missing.
        """
        problems = {}
        for index, clip in enumerate(clips):
            try:
                pixels = self.pixels(clip)
            except NoPyAV:
                raise
            except InputError as error:
                problems[index] = str(error)
            else:
                if pixels is not None:
                    self._store(clip, pixels)
            advance(1)
        return problems

    def _store(self, clip: Clip, pixels: Frames) -> None:
        from safetensors.torch import save

        x = torch.from_numpy(pixels).permute(0, 3, 1, 2)[None].float() / 255
        with explain_out_of_memory(ENCODING_OPTIONS):
            latents = self._backbone.encode(x)[0].cpu().contiguous()
        if not (self.folder / "about.json").is_file():
            atomic_write_text(self.folder / "about.json", json.dumps(self.about, indent=1) + "\n")
        with atomic_write(self.path(clip)) as file:
            file.write(save({"latents": latents}))

    def pixels(self, clip: Clip) -> Frames | None:
        """Frames of a clip that is not stored yet, else None.

        Raises:
            InputError: the file cannot be read, is too short, or has another content than its list says.
        """
        if self.path(clip).is_file():
            return None
        if clip.sha256 is not None and sha256(clip.path) != clip.sha256:
            raise InputError(f"{clip.path}: has changed since it was prepared. Run `ivtutorial prepare` again.")
        s = self.settings
        return read_video(clip.path, s.frames, s.fps, (s.height, s.width), clip.start)


def pin(clips: Sequence[Clip]) -> tuple[list[Clip], dict[int, str]]:
    """Note the hash of each file, so that it is computed once; a clip that has one is not opened.

    Returns:
        The clips, and what is wrong with those that cannot be read, by place.
    """
    pinned, problems = list(clips), {}
    for index, clip in enumerate(clips):
        try:
            pinned[index] = clip if clip.sha256 else replace(clip, sha256=sha256(clip.path))
        except InputError as error:
            problems[index] = str(error)
    return pinned, problems
