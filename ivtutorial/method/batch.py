"""What a step works on: the parts of a model that a loss needs, a batch of clips, the figures that are logged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from ivtutorial.checks import check_captions, check_latents
from ivtutorial.errors import InputError
from ivtutorial.method.schedule import NoiseSchedule
from ivtutorial.method.video_reward import FrameDecoder, VideoRewardOutput

Metrics = dict[str, float | Tensor]


class BackboneLike(FrameDecoder, Protocol):
    """What a loss needs of a :class:`ivtutorial.models.backbone.Backbone`."""

    @property
    def unet(self) -> nn.Module:
        """The network that is fine-tuned."""

    @property
    def scheduler(self) -> NoiseSchedule:
        """Cumulative alphas, T and the prediction type."""

    def predictor(self, embeds: Tensor, uncond_embeds: Tensor, guidance: float) -> Callable[..., Tensor]:
        """Guided prediction, (z, t) -> the UNet's output; t is a number, or one a clip, (B,)."""


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

    @property
    def z(self) -> Tensor:
        """The latents, at least float32."""
        return self.latents.to(torch.promote_types(self.latents.dtype, torch.float32))

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        parts = (self.latents, self.embeds, self.uncond_embeds)
        latents, embeds, uncond = (x.to(device, non_blocking=True) for x in parts)
        return replace(self, latents=latents, embeds=embeds, uncond_embeds=uncond)


def repeated(batch: Batch, count: int) -> Batch:
    """Every clip and caption `count` times, copies beside each other: (B * count, ...)."""
    empty = batch.uncond_embeds
    return Batch(
        batch.latents.repeat_interleave(count, 0),
        batch.embeds.repeat_interleave(count, 0),
        empty if len(empty) == 1 else empty.repeat_interleave(count, 0),
        [caption for caption in batch.captions for _ in range(count)],
    )


def check_batch(backbone: BackboneLike, batch: Batch, train_mode: bool) -> None:
    """Refuse latents of another model, or a UNet in the wrong mode.

    Raises:
        InputError: which of them, and what to do.
    """
    check_latents(batch.latents, getattr(getattr(backbone.unet, "config", None), "in_channels", None))
    if backbone.unet.training != train_mode:
        mode = "train" if backbone.unet.training else "eval"
        raise InputError(
            f"train_mode = {train_mode}, but the UNet is in {mode} mode: "
            "wrap loss and backward() in `with network_mode(unet, config.train_mode):`."
        )


def motion(latents: Tensor) -> Tensor:
    """How much a clip moves: mean absolute difference of consecutive frames. Flicker counts as motion.

    The `motion` of the training log. That of an evaluation, `ivtutorial.evaluation.looks`, is measured on pixels, with
    flicker taken out: compare each with its like only.

    Args:
        latents: (B, C, F, h, w); F = 1 does not move.

    Returns:
        A number in latent units, >= 0.
    """
    changes = latents.detach().float().diff(dim=2)
    return changes.abs().mean() if changes.numel() else changes.new_zeros(())


def reward_metrics(output: VideoRewardOutput, z0: Tensor) -> Metrics:
    """The figures every method logs, numbers without gradient where they were computed: reading one waits for the GPU.

    Args:
        output: the video reward of the batch.
        z0: the latents that were rewarded, (B, C, F, h, w).

    Returns:
        `reward`: mean of R (Eq. 8), weighted, so it varies with the frames that were drawn.
        `frame_reward`: mean image reward of the chosen frames without weights; the curve to watch.
        `frame_weight`: mean weight f_i of the chosen frames (Eq. 7).
        `motion`: see :func:`motion`; if it falls while the reward rises, the clips are freezing.
        `reward_calls`: frames that the image reward scored, each once, for the budget.
    """
    chosen = output.indices.sort(dim=1).values
    return {
        "reward": output.reward.detach().mean(),
        "frame_reward": output.frame_rewards.detach().mean(),
        "frame_weight": output.weights.mean(),
        "motion": motion(z0),
        "reward_calls": (chosen.diff(dim=1) != 0).sum() + len(chosen),
    }
