"""The plan of a training from nothing: what is trained, and how much of each."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models.train_all.parts.autoencoder import AutoencoderConfig
from ivtutorial.lab.reduced_models.train_all.parts.decoder import DecoderConfig
from ivtutorial.lab.reduced_models.train_all.parts.image_model import ImageConfig
from ivtutorial.lab.reduced_models.train_all.parts.video_model import VideoConfig
from ivtutorial.lab.reduced_models.train_all.pool import PoolConfig

SHARES = {"text": 0.006, "features": 0.014, "autoencoder": 0.30, "image": 0.34, "video": 0.27, "decoder": 0.07}
TRAINED = tuple(SHARES)
MAY_CHANGE = ("compiled", "save_minutes", "check_minutes")  # what may change while a plan is carried out


@dataclass(frozen=True)
class Plan:
    """What is trained, and how much of each.

    Attributes:
        frames, clips: sizes of the pools.
        autoencoder, channels: all of its latent channels are trained together; `channels` of them are kept.
        whitening, floor: see :func:`.latent_space.whiten`.
        image, video, decoder: their stages.
        batches: samples a step of all processes together (clips, for video).
        shares: of the budget, by stage; drawing and encoding take what they take.
        bf16: compute in bfloat16. compiled: train the two UNets through `torch.compile`: a fifth faster on a CPU, after
            minutes of compiling with a C++ compiler.
        save_minutes, check_minutes: see :class:`.loop.Settings`. checked: fresh pictures that checks look at.
        seed: of everything random.
    """

    frames: int = 160_000
    clips: int = 24_000
    autoencoder: AutoencoderConfig = field(default_factory=AutoencoderConfig)
    channels: int = 16
    whitening: float = 1.0
    floor: float = 0.0
    image: ImageConfig = field(default_factory=ImageConfig)
    video: VideoConfig = field(default_factory=VideoConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    batches: dict[str, int] = field(
        default_factory=lambda: {
            "text": 128,
            "features": 64,
            "autoencoder": 32,
            "image": 256,
            "video": 8,
            "decoder": 32,
        }  # fmt: skip
    )
    shares: dict[str, float] = field(default_factory=lambda: dict(SHARES))
    bf16: bool = True
    compiled: bool = False
    save_minutes: float = 2.0
    check_minutes: float = 15.0
    checked: int = 180
    seed: int = 0

    @classmethod
    def for_gpu(cls) -> Plan:
        """Batches as large as a GPU wants, and rates that go with them; a state every minute.

        Captions are drawn by the processor, so the text encoder takes as long as it does there; meanwhile the first
        pictures are drawn.
        """
        batches = {"text": 256, "features": 512, "autoencoder": 256, "image": 1024, "video": 64, "decoder": 128}
        return replace(
            cls(), autoencoder=AutoencoderConfig(widths=(32, 64, 96, 128), lr=2e-3), image=ImageConfig(lr=1.5e-3),
            video=VideoConfig(lr=1e-3), batches=batches, save_minutes=1.0, check_minutes=60.0,
            shares={"text": 0.05, "features": 0.04, "autoencoder": 0.28, "image": 0.30, "video": 0.27, "decoder": 0.06},
        )  # fmt: skip

    @classmethod
    def rehearsal(cls) -> Plan:
        """The plan for a GPU with everything tiny: a CPU goes through all of it in a minute."""
        batches = {"text": 16, "features": 8, "autoencoder": 8, "image": 16, "video": 2, "decoder": 8}
        whole = cls.for_gpu()
        small = replace(whole.autoencoder, widths=(8, 8, 16, 16), latents=12, nested=(4, 8))
        return replace(
            whole, frames=256, clips=64, autoencoder=small, channels=8, image=replace(whole.image, widths=(16, 32)),
            batches=batches, save_minutes=0.02, checked=9,
        )  # fmt: skip

    def pools(self) -> tuple[PoolConfig, PoolConfig]:
        """Single frames whose only fault is a watermark, and clips of web quality."""
        return PoolConfig("frames", self.frames, 1, ("watermark",)), PoolConfig("clips", self.clips)

    def to_json(self) -> str:
        """All of it but what may change on the way: compiling, and how often is saved and checked."""
        values = {name: value for name, value in asdict(self).items() if name not in MAY_CHANGE}
        return json.dumps(values, indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """What :meth:`to_json` wrote; what an older plan does not name has its default.

        Raises:
            InputError: a name that no plan has.
        """
        plan: Plan = _filled(cls(), json.loads(text))
        return plan


def _filled(default: Any, values: dict[str, Any]) -> Any:
    """A dataclass with other values, as JSON has them."""
    known = {entry.name: getattr(default, entry.name) for entry in fields(default)}
    if unknown := sorted(values.keys() - known.keys()):
        raise InputError(f"a plan has no {', '.join(unknown)}; there are {', '.join(known)}")
    changed = {}
    for name, value in values.items():
        before = known[name]
        if is_dataclass(before):
            value = _filled(before, value)
        changed[name] = tuple(value) if isinstance(before, tuple) else value
    return replace(default, **changed)
