"""The gain of a step: how far the clip at the end of the chain moves if the network's output at that step moves by 1.

| name                    | symbol            | meaning                                                         |
|-------------------------|-------------------|-----------------------------------------------------------------|
| `a`, `b`                | -                 | shares of clip and noise at t; a', b' at the step's end t'      |
| `noise_to_signal`       | nsr_t             | b / a                                                           |
| `step_weights`          | p, q              | z_t' = p z_t + q output + noise: a DDIM step is linear in both  |
| `gains`                 | abs(c_i)          | z_0 = p_1 ... p_n z + sum_i c_i output_i                        |

One step with eta = 0, from x0 and e of :func:`ivtutorial.method.noise.split` and z_t' = a' x0 + b' e:

    noise predicted:      p = a' / a          q = b' - a' b / a   = -a' (nsr_t - nsr_t')
    velocity predicted:   p = a a' + b b'     q = a b' - a' b     = -a a' (nsr_t - nsr_t')

Later steps carry what a step has changed, their own outputs held fixed, so c_i = q_i p_{i+1} ... p_n. With predicted
noise the product is a_end / a', and abs(c_i) = a_end (nsr_t - nsr_t'): only the two ends of the step matter.

The schedule of ModelScopeT2V with D = 20 and tau = 0.6, from t = 551 to t = 1:

    noise predicted:      .300 .247 .208 .178 .155 .137 .124 .116 .112 .118 .187 .012
    velocity predicted:   .069 .073 .076 .079 .081 .083 .086 .089 .094 .107 .182 .012

The last step, which alone carries gradient in the paper (K = 1), has by far the smallest gain: it goes from t = 1 to
t = 0, the others over 50 timesteps. The strongest step is the first where noise is predicted, and t = 51 for velocity.
A gain says how far the clip moves, not whether it moves where the reward is right; that is for experiments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from ivtutorial.method.ddim import ddim_moments
from ivtutorial.method.noise import level
from ivtutorial.method.schedule import NoiseSchedule, steps


def noise_to_signal(scheduler: NoiseSchedule, t: float) -> float:
    """nsr_t = b / a; a negative t is the end of the chain. Pure noise, where flow models start, has inf.

    Example:
        >>> from ivtutorial.models import make_scheduler
        >>> round(noise_to_signal(make_scheduler(), 551), 3)
        1.923
    """
    a, b = level(scheduler, t)
    return float(b / a) if a else math.inf


def step_weights(scheduler: NoiseSchedule, t: float, t_prev: float, eta: float = 0.0) -> tuple[float, float]:
    """(p, q) of one DDIM step, z_t' = p z_t + q output: its slopes, since it is linear in z_t and in the output.

    Args:
        scheduler: cumulative alphas and prediction type.
        t: timestep that the step starts from.
        t_prev: t', where it ends; negative is the end of the chain.
        eta: 0 is deterministic, 1 as noisy as DDPM.
    """
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    p, _ = ddim_moments(scheduler, zero, t, t_prev, one, eta)
    q, _ = ddim_moments(scheduler, one, t, t_prev, zero, eta)
    return p.item(), q.item()


def gains(scheduler: NoiseSchedule, timesteps: Sequence[float], eta: float = 0.0) -> tuple[float, ...]:
    """Gain of every step of a chain on z_0, abs(c_i), the outputs of all other steps held fixed.

    It is the factor between the gradient by z_0 and the one that reaches the network at step i: with K = (i,) in
    :func:`ivtutorial.method.chain.denoise`, and for every step at once with `stop_gradient`.

    Args:
        scheduler: cumulative alphas and prediction type.
        timesteps: descending, as of :func:`ivtutorial.method.schedule.partial_timesteps`.
        eta: 0 is deterministic, 1 as noisy as DDPM.

    Returns:
        As many numbers as timesteps, >= 0, in the chain's order.

    Example:
        >>> from ivtutorial.models import make_scheduler
        >>> [round(gain, 3) for gain in gains(make_scheduler(), (101, 51, 1))]
        [0.118, 0.187, 0.012]
    """
    carried, result = 1.0, []
    for t, t_prev in reversed(steps(timesteps)):
        p, q = step_weights(scheduler, t, t_prev, eta)
        result.append(abs(q) * carried)
        carried *= p
    return tuple(reversed(result))
