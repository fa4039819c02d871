"""What the methods share: the batch they take and the reward figures they log."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.ddim import check_latents
from ivtutorial.method.video_reward import VideoRewardOutput
from ivtutorial.rewards.base import check_captions


@dataclass(frozen=True)
class Batch:
    """B training clips with their captions; everything that can be computed once is computed already.

    Attributes:
        latents: z of Sec. 2, clean latents times the VAE's scaling factor, (B, C, F, h, w).
        embeds: caption embeddings, (B, L, E).
        uncond_embeds: embedding of the empty caption for guidance, (1, L, E) or (B, L, E).
        captions: the B captions, for the reward.

    Raises:
        InputError: shapes or counts that do not belong together.
    """

    latents: Tensor
    embeds: Tensor
    uncond_embeds: Tensor
    captions: Sequence[str]

    def __post_init__(self) -> None:
        check_latents(self.latents)
        check_captions(self.captions)
        counts = (len(self.latents), len(self.embeds), len(self.captions))
        if len(set(counts)) > 1 or counts[0] == 0:
            raise InputError(
                f"{counts[0]} latents, {counts[1]} embeddings and {counts[2]} captions: expected B of each."
            )
        fits = self.uncond_embeds.shape in (self.embeds.shape, (1, *self.embeds.shape[1:]))
        if self.embeds.ndim != 3 or not fits:
            raise InputError(
                f"embeddings of shape {tuple(self.embeds.shape)} and, for the empty caption, "
                f"{tuple(self.uncond_embeds.shape)}: expected (B, L, E) and (1, L, E)."
            )

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        latents, embeds, uncond = (x.to(device) for x in (self.latents, self.embeds, self.uncond_embeds))
        return replace(self, latents=latents, embeds=embeds, uncond_embeds=uncond)


def motion(latents: Tensor) -> float:
    """How much a clip moves: mean absolute difference of consecutive frames. Flicker counts as motion.

    Args:
        latents: (B, C, F, h, w); F = 1 does not move.

    Returns:
        Latent units, >= 0.
    """
    steps = latents.detach().float().diff(dim=2)
    return steps.abs().mean().item() if steps.numel() else 0.0


def reward_metrics(output: VideoRewardOutput, z0: Tensor) -> dict[str, float]:
    """The figures every method logs.

    Args:
        output: the video reward of the batch.
        z0: the latents that were rewarded, (B, C, F, h, w).

    Returns:
        `reward`: mean of R (Eq. 8), weighted, so it varies with the frames that were drawn.
        `frame_reward`: mean image reward of the chosen frames without weights; the curve to watch.
        `frame_weight`: mean weight f_i of the chosen frames (Eq. 7).
        `motion`: see :func:`motion`; if it falls while the reward rises, the clips are freezing.
        `reward_calls`: frames that the image reward scored, for the budget.
    """
    return {
        "reward": output.reward.mean().item(),
        "frame_reward": output.frame_rewards.mean().item(),
        "frame_weight": output.weights.mean().item(),
        "motion": motion(z0),
        "reward_calls": float(output.frame_rewards.numel()),
    }
