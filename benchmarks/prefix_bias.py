"""How wrong a kept prefix is: the state and the gradient it gives, against those of a prefix run with today's adapter.

    python benchmarks/prefix_bias.py                       # the reduced model, on a CPU: data/results/prefix_bias.json

One round of `KeptPrefix` with M = 8 updates, from a fresh adapter, at several learning rates. Before each update m the
prefix is run anew with the adapter as it is by then, from the same noise. Two numbers:

| column   | what                                                                                                 |
|----------|------------------------------------------------------------------------------------------------------|
| `drift`  | root mean square of kept minus fresh z_{t_K}, as a share of the clip's own root mean square          |
| `cosine` | between the adapter's gradient from the kept state and that from the fresh one, with the same frames |

`passes` is the cost of an update for one clip with a prefix that serves m + 1 updates.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ivtutorial.data.clips import load_frames, read_clips
from ivtutorial.data.prompts import spread
from ivtutorial.method.batch import Batch
from ivtutorial.method.chain import denoise
from ivtutorial.method.flow import chain_timesteps
from ivtutorial.method.noise import corrupt, draw_noise
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.named import open_model
from ivtutorial.rewards.named import open_reward
from ivtutorial.rivals.kept_prefix import KeptPrefix
from ivtutorial.system.files import atomic_write_text, data_path
from ivtutorial.system.provenance import provenance

RESULT = Path("data/results/prefix_bias.json")


def bias(
    backbone: Any, reward: Any, batch: Batch, method: KeptPrefix, lr: float, seed: int = 0
) -> list[dict[str, float]]:
    """Drift and cosine before each of M updates.

    Args:
        backbone: gets an adapter, which is taken away at the end.
        reward: image reward.
        batch: clips.
        method: `reuse` is M.
        lr: learning rate of AdamW.
        seed: of adapter, noise and frames.
    """
    weights = attach_lora(backbone.unet, seed=seed)
    optimizer = torch.optim.AdamW(weights, lr, weight_decay=0.0)
    predict, scheduler = method.predictor(backbone, batch), backbone.scheduler
    timesteps = chain_timesteps(scheduler, method.D, method.tau)
    k = min(method.K)  # type: ignore[type-var, arg-type]
    noise = draw_noise(batch.z.shape, torch.Generator().manual_seed(seed), like=batch.z)
    start = corrupt(batch.z, timesteps[0], scheduler, noise)

    def prefix() -> Tensor:
        return denoise(predict, start, timesteps[:k], scheduler, end=timesteps[k])

    def gradient(z_K: Tensor, m: int) -> list[Tensor]:
        z_0 = denoise(predict, z_K, timesteps[k:], scheduler, (0,))
        frames = torch.Generator().manual_seed(seed + 1 + m)
        R = method.video_reward(reward)(backbone, z_0, batch.captions, frames).reward.mean()
        return list(torch.autograd.grad(-R, weights))

    kept, rows = prefix(), []
    for m in range(method.reuse):
        fresh = prefix()
        ours, theirs = gradient(kept, m), gradient(fresh, m)
        flat = [torch.cat([g.flatten() for g in gradients]) for gradients in (ours, theirs)]
        drift = (kept - fresh).square().mean().sqrt() / batch.z.square().mean().sqrt()
        cosine = torch.nn.functional.cosine_similarity(*flat, dim=0)
        passes = replace(method, reuse=m + 1).passes() / (m + 1)
        rows.append({"m": m, "drift": drift.item(), "cosine": cosine.item(), "passes": passes})
        for weight, g in zip(weights, ours, strict=True):
            weight.grad = g
        optimizer.step()
    backbone.unet.unload_lora()
    return rows


def main() -> None:
    """Measure every learning rate and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reduced")
    parser.add_argument("--reward", default="reduced")
    parser.add_argument("--rates", type=float, nargs="*", default=[5e-4, 2e-3])
    parser.add_argument("--clips", type=int, default=2)
    parser.add_argument("--updates", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    backbone, reward = open_model(options.model), open_reward(options.reward)
    clips = spread(read_clips(data_path("clips")), options.clips)
    captions = [clip.caption for clip in clips]
    latents = backbone.encode(load_frames(clips, 16, 8.0, (64, 64)))
    batch = Batch(latents, backbone.embed(captions), backbone.embed([""]), captions)
    method = KeptPrefix(K=(10,), reuse=options.updates)
    rows = {f"{lr:g}": bias(backbone, reward, batch, method, lr, options.seed) for lr in options.rates}
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()}
    atomic_write_text(
        options.out, json.dumps({"settings": settings, "rates": rows, **provenance(options.seed)}, indent=1) + "\n"
    )
    print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
