"""Train the judge on renders of both qualities, half and half."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.lab.reduced_models import loop as training
from ivtutorial.lab.world import samples as frames, web_faults as web
from ivtutorial.lab.world.facts import FRAMES
from ivtutorial.lab.world.judges.judge import EVERY, FAULTS, Judge, JudgeNet, targets
from ivtutorial.system.device import choose_device


def train_judge(folder: Path, config: training.TrainConfig) -> Judge:
    """Train and save to ``folder/judge``. A batch is ``config.batch`` clips of 8 frames."""
    torch.manual_seed(config.seed)
    device = choose_device()
    net = JudgeNet().to(device)
    positions = range(0, FRAMES, EVERY)

    def loss(step: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, float]]:
        samples = [frames.draw_sample(rng, web_share=0.5, frames=positions, held_out=None) for _ in range(config.batch)]
        value, numbers = reading_loss(net(frames.stack(samples).to(device)), samples)
        return value, {name: float(number) for name, number in numbers.items()}

    training.train(net, loss, config, folder, "judge")
    judge = Judge(net)
    if training.process()[0] == 0:
        judge.save(folder / "judge")
        training.record(folder / "judge" / "training.json", "judge", config)
    return judge


def reading_loss(out: dict[str, Tensor], samples: Sequence[frames.Sample]) -> tuple[Tensor, dict[str, Tensor]]:
    """Cross entropies of subject, colour, scene and movement, and half the squared error of the faults' strengths.

    Args:
        out: what a network such as `ivtutorial.lab.world.judges.judge.JudgeNet` returns for N clips.
        samples: what they are, N of them.

    Returns:
        The loss, and the share of right answers to each question.
    """
    device, wanted = out["faults"].device, [targets(s.facts) for s in samples]
    strengths = torch.tensor(
        [[getattr(s.faults, k) / web.STRONGEST[k] for k in FAULTS] for s in samples], device=device
    )
    total, right = 0.5 * F.mse_loss(out["faults"].float(), strengths), {}
    for name in ("subject", "colour", "scene", "movement"):
        classes = torch.tensor([w[name] for w in wanted], device=device)
        total = total + F.cross_entropy(out[name].float(), classes, label_smoothing=0.02)
        right[name] = (out[name].argmax(-1) == classes).float().mean()
    return total, right
