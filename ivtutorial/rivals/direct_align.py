"""Direct-Align on clips: noise a clip with a known epsilon, take one step, take the same epsilon out, reward the rest.

X. Shen et al.: Directly Aligning the Full Diffusion Trajectory with Fine-Grained Human Preference (SRPO), 2025
(arXiv 2509.06942), for images. It is InstructVideo without the chain: one call of the network instead of tau * D, and
the gradient comes from any noise level.

| name        | symbol  | shape           | equation                                                              |
|-------------|---------|-----------------|-----------------------------------------------------------------------|
| `z`         | z       | (B, C, F, h, w) | latents of training clips                                             |
| `noise`     | epsilon | (B, C, F, h, w) | N(0, 1), remembered                                                   |
| `t`         | t       | (B,)            | drawn for each clip among the steps of the partial chain              |
| `t_prev`    | t'      | (B,)            | where DDIM's step from t ends                                         |
| `nsr`       | nsr_t   | (B, 1, 1, 1, 1) | sqrt((1 - abar_t) / abar_t), see :mod:`ivtutorial.method.gain`        |
| `z_0`       | z_0     | (B, C, F, h, w) | the recovered clip                                                    |

    z_t  = sqrt(abar_t) z + sqrt(1 - abar_t) epsilon                          Eq. 5 of InstructVideo
    x0, e from the network's output at z_t
    z_t' = sqrt(abar_t') x0 + sqrt(1 - abar_t') e                             one DDIM step
    z_0  = (z_t' - sqrt(1 - abar_t') epsilon) / sqrt(abar_t')
         = x0 + nsr_t' (e - epsilon)

Let the network be wrong by d, e = epsilon + d. Then x0 = z - nsr_t d, and

    z_0 = z - (nsr_t - nsr_t') d.

A perfect network gives back the clip; any other gives a clip that is sharp at every noise level, since only d is
scaled, by the gain of the step: that of :func:`ivtutorial.method.gain.gains`. So Direct-Align is DRTune with
one step, whose chain before and after that step is replaced by the known clip. A velocity that is wrong by d has the
gain sqrt(abar_t) (nsr_t - nsr_t').

The inversion branch starts at z_t' and steps up to t, which gives z + (nsr_t - nsr_t') d, with the reward's sign
reversed: (R(z - g d) - R(z + g d)) / 2 in place of R(z - g d). The gradient is then the mean of the reward's slopes on
both sides of the clip, in which whatever grows with the distance from the clip, to either side, cancels.

Where this differs from SRPO
----------------------------
1. Video: R is SegVR and TAR around an image reward, clips are training clips, and steps are those of the DDIM chain.
2. The text is the caption's alone; SRPO rewards the difference between words to seek and to avoid.
3. The whole step has guidance, or none with `guidance = 1`; a model tuned without it and sampled with it overshoots.
4. Both branches share noise, step and frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from ivtutorial.checks import one_of, whole
from ivtutorial.errors import InputError
from ivtutorial.method.batch import BackboneLike, Batch, check_batch
from ivtutorial.method.chain import call
from ivtutorial.method.ddim import check_scheduler
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.gain import noise_to_signal, step_weights
from ivtutorial.method.instructvideo import edit_metrics
from ivtutorial.method.noise import corrupt, draw_noise, level, split
from ivtutorial.method.schedule import NoiseSchedule, partial_steps, steps
from ivtutorial.method.settings import GradientMethod, Losses
from ivtutorial.method.two_phase import cut_off, rejoin
from ivtutorial.rewards.base import ImageReward
from ivtutorial.system.step_draws import own_rows

StepDraw = Literal["uniform", "gain"]
Move = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class DirectAlign(GradientMethod):
    """Settings of Direct-Align on clips; the others are `GradientMethod`'s.

    Attributes:
        tau: highest noise level, 0 < tau <= 1: steps are drawn from the partial chain of Eq. 4.
        skip_last: this many steps at the end of that chain are never drawn; the very last has hardly any gain.
        draw: 'uniform', or 'gain' to draw steps in proportion to their gain.
        inversion: reward the opposite step, too, with the sign reversed; costs twice as much.
        lr_share: a quarter: what is rewarded lies near the training clips, and a larger rate soon goes too far.

    Raises:
        InputError: a value out of range, or no step left to draw.

    Example:
        >>> DirectAlign(tau=0.6, D=20).steps
        11
    """

    lr_share = 0.25

    tau: float = 0.6
    skip_last: int = 1
    draw: StepDraw = "uniform"
    inversion: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, skip_last=0)
        one_of(self, draw=get_args(StepDraw))
        if self.steps < 1:
            n, least = partial_steps(self.tau, self.D), (self.skip_last + 1) / self.D
            raise InputError(
                f"skip_last = {self.skip_last} of the tau * D = {n} steps: none is left to draw; use tau >= {least:g}."
            )
        if self.inversion and not self.skip_last:
            raise InputError("inversion = True with skip_last = 0: no step leads back from the chain's end; skip 1.")

    @property
    def steps(self) -> int:
        """Steps among which one is drawn."""
        return partial_steps(self.tau, self.D) - self.skip_last

    def losses(
        self, backbone: BackboneLike, batch: Batch, image_reward: ImageReward, generator: torch.Generator | None = None
    ) -> Losses:
        """The one loss of a step, E[-R] of the recovered clips; logged is :func:`edit_metrics` of InstructVideo.

        Draws are made in the order of the lines: steps, noise, frames. See
        :meth:`ivtutorial.method.settings.RewardMethod.losses`.
        """
        check_batch(backbone, batch, self.train_mode)
        z, scheduler = batch.z, backbone.scheduler
        check_scheduler(scheduler)
        predict = self.predictor(backbone, batch)
        timesteps = chain_timesteps(scheduler, self.D, self.tau)
        if self.inversion and noise_to_signal(scheduler, timesteps[0]) == math.inf:
            raise InputError(
                f"inversion = True with tau = {self.tau}: this model's chain starts at pure noise, and no clip can be "
                f"recovered from there. Use tau = {(len(timesteps) - 1) / self.D:g} or less."
            )
        moves = draw_moves(scheduler, steps(timesteps)[: self.steps], self.draw, len(z), generator)
        noise = draw_noise(z.shape, generator, like=z)

        def step(moves: Sequence[Move]) -> Tensor:
            t = torch.tensor([start for start, _ in moves])
            z_t = corrupt(z, t, scheduler, noise)  # Eq. 5
            output = call(predict, z_t, t.to(z.device, non_blocking=True), self.again)
            return recovered(scheduler, output, z_t, noise, moves)

        video_reward = self.video_reward(image_reward)
        z_0 = step(moves)
        x_0 = cut_off(z_0) if self.two_phase else z_0
        output = video_reward(backbone, x_0, batch.captions, generator)  # Eq. 6-8
        loss = rejoin(-output.reward.mean(), x_0, z_0)
        if self.inversion:
            up = step([(end, start) for start, end in moves])
            x_up = cut_off(up) if self.two_phase else up
            against = video_reward(backbone, x_up, batch.captions, indices=output.indices)
            loss = (loss + rejoin(against.reward.mean(), x_up, up)) / 2
        yield loss, edit_metrics(output, z_0, z)

    def scored(self) -> int:
        """Frames that a step scores for one clip."""
        return self.S * (1 + self.inversion)

    def passes(self) -> int:
        """Cost of a step for one clip, see :meth:`ivtutorial.method.settings.RewardMethod.passes`."""
        return self.recorded_passes * (1 + self.inversion)


def direct_gain(scheduler: NoiseSchedule, t: float, t_prev: float) -> float:
    """How far the recovered clip moves if the network's output moves by 1; nsr_t - nsr_t' where noise is predicted.

    Args:
        scheduler: cumulative alphas and prediction type.
        t: timestep that the step starts from.
        t_prev: t', where it ends; negative is the end of the chain.

    Example:
        >>> from ivtutorial.models import make_scheduler
        >>> round(direct_gain(make_scheduler(), 51, 1), 3)
        0.187
    """
    _, q = step_weights(scheduler, t, t_prev)
    share, _ = level(scheduler, t_prev)  # of the clip, sqrt(abar)
    return abs(q) / float(share)


def draw_moves(
    scheduler: NoiseSchedule,
    chain: Sequence[Move],
    draw: StepDraw,
    count: int,
    generator: torch.Generator | None = None,
) -> list[Move]:
    """Steps (t, t') for `count` clips, drawn from a chain with replacement.

    Args:
        scheduler: cumulative alphas and prediction type.
        chain: the steps to choose from, of :func:`ivtutorial.method.schedule.steps`.
        draw: 'uniform', or 'gain' for probabilities in proportion to :func:`direct_gain`.
        count: clips.
        generator: source of the draw.
    """
    weights = [1.0 if draw == "uniform" else direct_gain(scheduler, t, t_prev) for t, t_prev in chain]
    device = generator.device if generator is not None else None
    table = torch.tensor(weights, dtype=torch.float64, device=device)
    drawn = own_rows(generator, count, lambda n: torch.multinomial(table, n, replacement=True, generator=generator))
    return [chain[i] for i in drawn.tolist()]


def recovered(scheduler: NoiseSchedule, output: Tensor, z_t: Tensor, noise: Tensor, moves: Sequence[Move]) -> Tensor:
    """z_0 = x0 + nsr_t' (e - epsilon): one DDIM step from t to t', then the known noise is taken out.

    Args:
        scheduler: cumulative alphas and prediction type.
        output: of the network at z_t, (B, C, F, h, w).
        z_t: noised latents, shaped like output.
        noise: the epsilon they were noised with.
        moves: (t, t') of each clip; t' may lie above t.

    Returns:
        Latents, shaped like z_t.
    """
    t = torch.tensor([start for start, _ in moves])
    nsr = torch.tensor([noise_to_signal(scheduler, end) for _, end in moves], dtype=z_t.dtype)
    nsr = nsr.to(z_t.device, non_blocking=True)
    x0, e = split(output.to(z_t.dtype), z_t, level(scheduler, t, like=z_t), scheduler.config["prediction_type"])
    return x0 + nsr.view(-1, 1, 1, 1, 1) * (e - noise)
