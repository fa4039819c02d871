"""Train the judge on renders of both qualities, half and half."""

from __future__ import annotations

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
        out = net(frames.stack(samples).to(device))
        numbers: dict[str, float] = {}
        total = 0.5 * F.mse_loss(out["faults"], fault_targets([s.faults for s in samples]).to(device))
        for name in ("subject", "colour", "scene", "movement"):
            want = torch.tensor([targets(s.facts)[name] for s in samples], device=device)
            total = total + F.cross_entropy(out[name], want, label_smoothing=0.02)
            numbers[name] = float((out[name].argmax(-1) == want).float().mean())
        return total, numbers

    training.train(net, loss, config, folder, "judge")
    judge = Judge(net)
    if training.process()[0] == 0:
        judge.save(folder / "judge")
        training.record(folder / "judge" / "training.json", "judge", config)
    return judge


def fault_targets(faults: list[web.WebFaults]) -> Tensor:
    """Strength of each fault over its strongest value, (N, 5)."""
    return torch.tensor([[getattr(f, k) / web.STRONGEST[k] for k in FAULTS] for f in faults])
