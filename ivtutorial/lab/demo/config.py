"""What the demo does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from ivtutorial.checks import whole
from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.memory import Precision
from ivtutorial.training.config import FinetuneConfig

PAPER: dict[str, Any] = {"K": 1}
"""The demo with the paper's own gradient: what `ivtutorial demo --paper` changes."""


@dataclass(frozen=True)
class DemoConfig:
    """What the demo does; other settings of the method are its defaults (the paper's tau 0.6, S 4, lambda_tar 1).

    Attributes:
        K: the step of the chain that carries the gradient: the one of largest gain, t = 51, which moves more in the
            same time, or the last alone, t = 1, as in the paper.
        steps: fine-tuning steps. The paper's 20,000 would take days on two cores.
        lr: learning rate. The paper's 1e-5 needs those 20,000 steps; a hundred times as much shows in minutes.
        clips: how many of the clips to use, evenly spread over them: a short run sees no more, and each is encoded.
        clips_per_step: over all processes; must be a multiple of their number (paper: 8).
        prompts: how many of the shipped demo prompts to sample. shown: how many of them are on the page.
        probes: prompts, none of them the demo's, to sample during fine-tuning; 0 for none, which saves their time.
        probe_rounds: how often to sample the probes.
        D: DDIM steps. guidance: scale; both for fine-tuning and for samples.
        batch_size: clips sampled together.
        seed: of everything random.
        precision: of the UNet, in fine-tuning and in sampling.

    Raises:
        InputError: a number out of range.
    """

    K: Literal["strongest", 1] = "strongest"
    steps: int = 24
    lr: float = 1e-3
    clips: int = 225
    clips_per_step: int = 4
    prompts: int = 64
    shown: int = 12
    probes: int = 0
    probe_rounds: int = 4
    D: int = 20
    guidance: float = 3.0
    batch_size: int = 8
    seed: int = 0
    precision: Precision = "fp32"

    def __post_init__(self) -> None:
        whole(self, clips=1, clips_per_step=1, prompts=1, shown=1, probes=0, probe_rounds=1)

    def finetuning(self, processes: int, probes: list[str]) -> FinetuneConfig:
        """Settings of the fine-tuning run."""
        if self.clips_per_step % processes:
            raise InputError(f"{self.clips_per_step} clips a step cannot be shared by {processes} processes.")
        return FinetuneConfig(
            method=InstructVideo(K=self.K, D=self.D, guidance=self.guidance),
            steps=self.steps,
            lr=self.lr,
            batch_size=self.clips_per_step // processes,
            seed=self.seed,
            precision=self.precision,
            checkpoint_every=max(1, self.steps // 6),
            sample_every=max(1, self.steps // self.probe_rounds) if probes else 0,
            sample_prompts=tuple(probes),
            sample_seed=self.seed,
        )
