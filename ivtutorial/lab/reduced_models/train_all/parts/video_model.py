"""Stage 2 of the text-to-video model: stage 1 inflated into a stock ``UNet3DConditionModel`` and trained on clips.

Every step also shows single frames, through a 2D network whose tensors *are* the spatial ones of the 3D network: what
stage 1 learnt of stills does not drift while the layers over time learn. These learn faster than the rest. Clips are
windows of 8 frames at first, half as dear as the 16 of the last part: nothing in the network knows a frame's number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from diffusers import UNet2DConditionModel, UNet3DConditionModel
from torch import Tensor, nn

from ivtutorial.lab.reduced_models.train_all.encoded import Encoded
from ivtutorial.lab.reduced_models.train_all.loop import StepLoss, TrainStep
from ivtutorial.lab.reduced_models.train_all.parts.image_model import (
    ATTENTION_WIDTH,
    Texts,
    VLoss,
    cover_weights,
    draw_frames,
    new_image_unet,
    on_device,
)
from ivtutorial.lab.reduced_models.train_all.parts.noise_levels import NoiseLevels
from ivtutorial.lab.reduced_models.train_all.pool import WORDINGS
from ivtutorial.lab.reduced_models.video_model import inflate, is_temporal
from ivtutorial.lab.world.facts import FRAMES


@dataclass(frozen=True)
class VideoConfig:
    """Stage 2.

    Attributes:
        levels, frame_levels: distributions of noise levels of clips and of single frames. Sixteen frames that are
            much alike carry more signal than one, so clips are trained on more noise.
        window: frames of a clip until ``window_until`` of the budget, 16 afterwards.
        frames: single frames for each clip of a step, and ``frame_weight`` of their loss.
        web_share: share of the single frames that have web quality.
        cover: as in stage 1, until ``cover_until``.
        dropout: share of captions that are dropped.
        lr: peak learning rate of the layers over time; ``spatial`` times that for the others.
    """

    levels: NoiseLevels = field(default_factory=lambda: NoiseLevels(mean=0.0))
    frame_levels: NoiseLevels = field(default_factory=NoiseLevels)
    window: int = 8
    window_until: float = 0.6
    frames: int = 8
    frame_weight: float = 0.5
    web_share: float = 0.75
    cover: float = 1.0
    cover_until: float = 0.6
    dropout: float = 0.1
    lr: float = 6e-4
    spatial: float = 0.3


class FrameConv(nn.Conv3d):
    """A convolution over frames alone, kernel (3, 1, 1), computed as a 2D one over (frames, positions).

    The same weights and numbers; on a CPU about four times as fast.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, F, H, W) -> (B, C', F, H, W)."""
        flat = F.conv2d(input.flatten(3), self.weight.flatten(3), self.bias, padding=(1, 0))
        return flat.unflatten(3, input.shape[3:])


def new_video_unet(channels: int, text_width: int, widths: tuple[int, ...] = (64, 128)) -> UNet3DConditionModel:
    """Stage 2's network, without the dropout of 0.1 that its class puts into the convolutions over time: it fits too
    little, not too much. ``attention_head_dim`` means the width of a head in this class."""
    unet = UNet3DConditionModel(
        sample_size=8, in_channels=channels, out_channels=channels, block_out_channels=widths,
        down_block_types=("CrossAttnDownBlock3D",) * 2, up_block_types=("CrossAttnUpBlock3D",) * 2, layers_per_block=1,
        cross_attention_dim=text_width, attention_head_dim=ATTENTION_WIDTH, norm_num_groups=8,
    )  # fmt: skip
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return frames_as_rows(unet)


def frames_as_rows(unet: UNet3DConditionModel) -> UNet3DConditionModel:
    """Compute its convolutions over time as :class:`FrameConv`; its weights and what it saves stay the same."""
    for module in unet.modules():
        if type(module) is nn.Conv3d and module.kernel_size == (3, 1, 1) and module.stride == (1, 1, 1):
            module.__class__ = FrameConv
    return unet


def from_image_unet(image: UNet2DConditionModel) -> UNet3DConditionModel:
    """Inflate stage 1's network; its layers over time start as identity."""
    c = image.config
    return inflate(image, new_video_unet(c.in_channels, c.cross_attention_dim, tuple(c.block_out_channels)))


def spatial_twin(video: UNet3DConditionModel) -> UNet2DConditionModel:
    """A 2D network whose parameters are the spatial ones of a video model: training one trains the other."""
    c = video.config
    twin = new_image_unet(c.in_channels, c.cross_attention_dim, tuple(c.block_out_channels))
    modules, weights = dict(twin.named_modules()), dict(video.named_parameters())
    for name, _ in list(twin.named_parameters()):
        owner, _, leaf = name.rpartition(".")
        setattr(modules[owner], leaf, weights[name])
    return twin


def video_optimizers(unet: nn.Module, config: VideoConfig) -> list[torch.optim.Optimizer]:
    """Fused AdamW, the layers over time with a higher rate."""
    temporal = [p for n, p in unet.named_parameters() if is_temporal(n)]
    spatial = [p for n, p in unet.named_parameters() if not is_temporal(n)]
    groups = [{"params": temporal, "lr": config.lr}, {"params": spatial, "lr": config.spatial * config.lr}]
    return [torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99), weight_decay=0.0, fused=True)]


def video_loss(
    unet: UNet3DConditionModel,
    texts: Texts,
    frames: Encoded,
    clips: Encoded,
    config: VideoConfig,
    device: torch.device,
    fast: Callable[[nn.Module], nn.Module] = lambda network: network,
) -> StepLoss:
    """The loss of stage 2 for :func:`.loop.fit_part`; a batch is counted in clips. ``fast`` may compile networks."""
    moving_unet, still_unet = fast(unet), fast(on_device(spatial_twin(unet), device))
    of_clips, of_frames = VLoss(config.levels, device), VLoss(config.frame_levels, device)

    def clip_loss(step: TrainStep, strength: float) -> Tensor:
        length = config.window if step.progress < config.window_until else FRAMES
        index, start = step.integers(len(clips)), step.integers(FRAMES - length + 1)
        wording = step.integers(WORDINGS)
        z, cover = clips.windows(index, start, length)
        text = texts(clips.texts(index, wording), step.uniform(len(z)) < config.dropout)
        t = of_clips.timesteps(step, step.batch)
        return of_clips(moving_unet, z, t, step.normal(z), text, cover_weights(cover, strength)).mean()

    def frame_loss(step: TrainStep, strength: float) -> Tensor:
        count = step.batch * config.frames
        z, cover, ids = draw_frames(step, frames, clips, count, config.web_share)
        text = texts(ids, step.uniform(len(z)) < config.dropout)
        t = of_frames.timesteps(step, count)
        return of_frames(still_unet, z, t, step.normal(z), text, cover_weights(cover, strength)).mean()

    def loss(step: TrainStep) -> tuple[Tensor, dict[str, Tensor]]:
        strength = config.cover if step.progress < config.cover_until else 0.0
        moving, still = clip_loss(step, strength), frame_loss(step, strength)
        return moving + config.frame_weight * still, {"clips": moving.detach(), "frames": still.detach()}

    return loss
