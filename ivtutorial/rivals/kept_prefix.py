"""The prefix kept: one run down the chain serves several updates of the adapter; as an option, several rewards of each.

| name    | symbol      | shape           | meaning                                                                |
|---------|-------------|-----------------|------------------------------------------------------------------------|
| `reuse` | M           | int             | updates that share a prefix                                            |
| `z_K`   | z_{t_K}     | (B, C, F, h, w) | the edit where its first step with gradient begins                     |
| `rest`  | t_K, ..., 1 | -               | the rest of the chain, see :func:`ivtutorial.rivals.copies.tail` |

InstructVideo runs tau * D - K steps without gradient only to reach z_{t_K}, and throws it away after one update. Here
the same z_{t_K}, of the same clips and noise, serves M updates in a row, each with frames of its own:

    z_{t_K} = chain of theta_n from z_noi                                   without gradient, once
    theta_{n+m+1} = AdamW step from  -R(tail of theta_{n+m} from z_{t_K}),   m = 0, ..., M - 1

A round costs (tau * D - rest) + M * rest steps in place of M * tau * D: with gradient through t = 51 alone
(`K = (10,)`, D = 20, guidance), in passes, (20 + 8 M) / (28 M) of InstructVideo's, 0.46 for M = 4.

What it costs in truth: in update m the prefix is m updates old. The gradient is exact at the given z_{t_K}, but that is
where an older adapter would have been. The bias is 0 for m = 0, grows with m times the learning rate, and is bounded by
M: nothing older than M - 1 updates is ever used. Moreover the M updates see the same clips and noise. Measured on the
small model (`benchmarks/prefix_bias.py`), the gradient from a prefix that is 3 updates old has the cosine .998 with
that from a fresh one at a learning rate of 5e-4, and .93 at 2e-3; after 7 updates at 2e-3 nothing is left of it (-.12).

With `variants` each edit is noised and denoised n times more, from z_{t_K} on, and the n + 1 rewards are averaged:
DRaFT-LV for edits (:mod:`ivtutorial.rivals.copies`), also with M = 1.

Nothing is kept from round to round, so a run that was cut off goes on exactly, and processes exchange nothing more.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ivtutorial.checks import whole
from ivtutorial.method.batch import BackboneLike, Batch, check_batch
from ivtutorial.method.chain import denoise, gradient_steps, recorded_steps
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.instructvideo import InstructVideo, edit_metrics
from ivtutorial.method.noise import corrupt, draw_noise
from ivtutorial.method.settings import Losses
from ivtutorial.method.two_phase import cut_off, rejoin
from ivtutorial.rewards.base import ImageReward
from ivtutorial.rivals.copies import low_variance, tail, tail_steps


@dataclass(frozen=True, kw_only=True)
class KeptPrefix(InstructVideo):
    """InstructVideo whose chain down to the first step with gradient serves several updates. Not the paper's.

    Attributes:
        reuse: M, updates that share a prefix; 1 is InstructVideo.
        variants: n of DRaFT-LV, 0 for none.

    Raises:
        InputError: a value out of range, or K = 'strongest', whose step depends on the noise schedule.

    Example:
        >>> KeptPrefix(K=(10,), reuse=4).passes(), 4 * InstructVideo(K=(10,)).passes()
        (52, 112)
    """

    reuse: int = 4
    variants: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        whole(self, reuse=1, variants=0)
        tail_steps(self.K, self.steps)

    @property
    def updates(self) -> int:
        """M: optimiser updates a step of the training loop makes."""
        return self.reuse

    def losses(
        self, backbone: BackboneLike, batch: Batch, image_reward: ImageReward, generator: torch.Generator | None = None
    ) -> Losses:
        """M losses, E[-R] of the same edits with the adapter as it is by then; logged is `edit_metrics`.

        Draws are made in the order of the lines: K (if 'uniform'), noise, the chain's, and for each update those of
        its tail, of variants and of frames. With M = 1 all draws and numbers are InstructVideo's.
        """
        check_batch(backbone, batch, self.train_mode)
        z, scheduler = batch.z, backbone.scheduler
        predict = self.predictor(backbone, batch)
        timesteps = chain_timesteps(scheduler, self.D, self.tau)
        rest, chosen = tail(timesteps, gradient_steps(self.K, len(timesteps), generator))
        prefix = timesteps[: len(timesteps) - len(rest)]
        noise = draw_noise(z.shape, generator, self.offset_noise, like=z)
        z_noi = corrupt(z, timesteps[0], scheduler, noise)
        z_K = denoise(predict, z_noi, prefix, scheduler, (), self.eta, generator, end=rest[0])
        again, cut, video_reward = self.again, self.stop_gradient, self.video_reward(image_reward)
        for _ in range(self.reuse):
            z_0 = denoise(predict, z_K, rest, scheduler, chosen, self.eta, generator, again, cut)
            z_0, captions = low_variance(backbone, z_0, batch, self, rest, chosen, generator)
            x_0 = cut_off(z_0) if self.two_phase else z_0
            output = video_reward(backbone, x_0, captions, generator)
            yield rejoin(-output.reward.mean(), x_0, z_0), edit_metrics(output, z_0[: len(z)], z)

    def scored(self) -> int:
        """Frames that a round scores for one clip."""
        return self.reuse * (1 + self.variants) * self.S

    def passes(self) -> int:
        """Cost of a round of M updates for one clip, see :meth:`ivtutorial.method.settings.RewardMethod.passes`."""
        rest, recorded = tail_steps(self.K, self.steps), recorded_steps(self.K, self.steps)
        update = self.predictions * (rest - recorded) + self.recorded_passes * recorded
        return self.predictions * (self.steps - rest) + self.reuse * (1 + self.variants) * update
