"""Measure the models of the small world: are the judges right, does the autoencoder keep enough, what do base samples
show?

| section   | what is measured                                                                               |
|-----------|------------------------------------------------------------------------------------------------|
| `judge`   | share of fresh renders it reads rightly, clean and of web quality; `judge_2` likewise          |
| `vae`     | PSNR, inside the subject too, sharpness, colour error of fresh frames; what the judge reads    |
| `samples` | what the judges read in samples of the base model, for known and for unseen combinations       |
| `faults`  | how often samples show web video's faults; sharpness and colour beside clean renders           |
| `slopes`  | what moves the reward on the model's own samples of one caption                                |
| `reward`  | held-out pairs: how often the reward agrees with the annotators' noise-free taste              |
| `pairs`   | pairs of samples: how often it prefers the one that both judges read as the caption's subject  |
| `size`    | MB of weights                                                                                  |

"Fresh" clips and pairs are drawn from seeds that no training uses: the training of step n draws from
(seed, n, rank), a measurement from (_FRESH, section, k). What needs a second judge is left out where there is none.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ivtutorial.data.prompts import Prompt, shipped_prompts
from ivtutorial.errors import InputError
from ivtutorial.evaluation.evaluation import evaluate
from ivtutorial.evaluation.intervals import estimate
from ivtutorial.evaluation.looks import YUV, measure
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.reduced_models.measuring.reward import measure_on_samples, measure_reward, slopes_within_captions
from ivtutorial.lab.reduced_models.train_all.ceilings import Fresh, fidelity
from ivtutorial.lab.world import facts as world, samples as frames, web_faults as web
from ivtutorial.lab.world.drawing.subjects import SPECIES, subject
from ivtutorial.lab.world.judges.judge import READINGS, Judge
from ivtutorial.lab.world.judges.panel import open_panel
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import load_backbone
from ivtutorial.rewards.named import open_reward
from ivtutorial.sampling.generation import Sampling
from ivtutorial.system.files import atomic_write_text, check_writable
from ivtutorial.system.provenance import provenance

_FRESH = 730_000


@dataclass(frozen=True)
class MeasureConfig:
    """How much to measure.

    Attributes:
        clips: fresh clips of each quality for the judge and the autoencoder.
        prompts: prompts of each list, evenly spread over it. seeds: samples of each prompt.
        D: DDIM steps. guidance: scale; both as `ivtutorial.sampling.generation` uses them by default.
        pairs: held-out pairs of each kind for the reward.
        sampled_pairs: held-out pairs of samples for the reward; 0 samples none.
        processes: single-threaded processes that share the sampling.
        seed: of the measurement.

    Raises:
        InputError: a number that is not positive, or negative `sampled_pairs`.
    """

    clips: int = 510
    prompts: int = 90
    seeds: int = 4
    D: int = 20
    guidance: float = 3.0
    pairs: int = 1000
    sampled_pairs: int = 320
    processes: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.clips, self.prompts, self.seeds, self.pairs) < 1:
            raise InputError(
                f"clips, prompts, seeds and pairs must be positive, got {self.clips}, {self.prompts}, "
                f"{self.seeds}, {self.pairs}"
            )
        if self.sampled_pairs < 0:
            raise InputError(f"sampled_pairs must be 0 or more, got {self.sampled_pairs}")


def measure_models(
    models: str | Path,
    out: str | Path | None,
    config: MeasureConfig = MeasureConfig(),
    progress: bool = False,
) -> dict[str, Any]:
    """Measure everything.

    Args:
        models: folder with `reduced`, `reward` and `judge`.
        out: JSON file to write; None writes nothing.
        config: how much.
        progress: show a progress bar while sampling.

    Returns:
        One entry for each section of the module's table, with "settings" and "provenance".

    Raises:
        InputError: a model is missing, or the file cannot be written.
    """
    models = Path(models)
    if out is not None:
        check_writable(Path(out).parent)
    panel = open_panel(models)
    backbone, reward = load_backbone(models / "reduced"), open_reward(models / "reward")
    results: dict[str, Any] = {
        "judge": measure_judge(panel.judge, config),
        "vae": measure_vae(backbone, panel.judge, config)
        | {"clean_frames": measure_fidelity(backbone, min(450, 30 * config.clips))},
    }
    if panel.second is not None:
        results["judge_2"] = measure_judge(panel.second, config)
    results["reward"] = measure_reward(reward, config.pairs, config.seed)
    results["size"] = {"weights_mb": weights_mb(models)}
    del backbone, reward
    seen, unseen = (shipped_prompts(name, config.prompts) for name in ("in_domain", "unseen"))
    known, new = (_sample(models, prompts, config, progress) for prompts in (seen, unseen))
    results["samples"] = {"seen": reading(known), "unseen": reading(new)}
    results["faults"] = measure_faults(known, seen)
    if config.seeds > 1:
        results["slopes"] = {"seen": slopes_within_captions(known), "unseen": slopes_within_captions(new)}
    if config.sampled_pairs and panel.second is not None:
        results["pairs"] = measure_on_samples(
            models, config.sampled_pairs, Sampling(config.D, config.guidance), config.seed, config.processes
        )
    results |= {"settings": asdict(config), "provenance": provenance(config.seed)}
    if out is not None:
        atomic_write_text(out, json.dumps(results, indent=1) + "\n")
    return results


def weights_mb(models: Path) -> float:
    """Size of all weights below a folder, in units of 10^6 bytes."""
    return sum(path.stat().st_size for path in models.rglob("*.safetensors")) / 1e6


def measure_fidelity(backbone: Backbone, count: int) -> dict[str, float]:
    """Encoding and decoding single clean frames, as `ivtutorial.lab.reduced_models.train_all.ceilings.fidelity`: PSNR
    of the whole and inside the subject, in dB, and the sharpness that is kept, as a share."""
    fresh = Fresh.draw(count)
    decoded = backbone.decode_clips(backbone.encode(fresh.frames[:, None]))[:, 0]
    return fidelity(decoded, fresh.frames, fresh.masks)


def fresh_clips(
    config: MeasureConfig, web_quality: bool, batch: int = 30
) -> Iterator[tuple[Tensor, list[world.ClipFacts]]]:
    """Clips of the 45 species from seeds that no training uses; the two qualities show the same contents.

    Yields:
        Frames (B, 16, 3, 64, 64) in [0, 1] and their facts.
    """
    for start in range(0, config.clips, batch):
        samples = [_fresh(config.seed, k, web_quality) for k in range(start, min(start + batch, config.clips))]
        yield frames.stack(samples), [s.facts for s in samples]


def _fresh(seed: int, k: int, web_quality: bool) -> frames.Sample:
    rng = np.random.default_rng((_FRESH, seed, k))
    facts = world.draw_facts(rng, SPECIES, held_out=None)
    faults = web.draw_faults(rng) if web_quality else web.WebFaults()
    item = subject(facts.subject)
    return frames.Sample(facts, faults, world.caption_of(facts, item), web.degrade(world.render(facts, item), faults))


def measure_judge(judge: Judge, config: MeasureConfig) -> dict[str, Any]:
    """Share of fresh renders read rightly: {"clean": {"subject": {"mean", "low", "high", ...}, ...}, "web":
    ...}."""
    return {
        quality: _shares(judge(clips, facts).right for clips, facts in fresh_clips(config, quality == "web"))
        for quality in ("clean", "web")
    }


def measure_vae(backbone: Backbone, judge: Judge, config: MeasureConfig) -> dict[str, Any]:
    """Quality of encoding and decoding, for clean and web-quality clips.

    `psnr` (dB, mean over frames of -10 log10 MSE, pixels in [0, 1]); `colour_error` (mean absolute error of
    the two chroma channels of YUV, each as wide as [0, 1]); `original` and `reconstruction`: the judge's
    accuracy on each.
    """
    results: dict[str, Any] = {}
    for quality in ("clean", "web"):
        psnr, chroma, before, after = [], [], [], []
        for clips, facts in fresh_clips(config, quality == "web"):
            decoded = backbone.decode_clips(backbone.encode(clips))
            error = F.mse_loss(decoded, clips, reduction="none").mean((2, 3, 4)).clamp_min(1e-10)
            psnr += (-10 * error.log10()).flatten().tolist()
            chroma += _chroma(decoded - clips).abs().mean((1, 2, 3, 4)).tolist()
            before.append(judge(clips, facts).right)
            after.append(judge(decoded, facts).right)
        results[quality] = {
            "psnr": float(np.mean(psnr)),
            "colour_error": float(np.mean(chroma)),
            "original": _shares(before),
            "reconstruction": _shares(after),
        }
    return results


def _chroma(pixels: Tensor) -> Tensor:
    """The two colour differences of (N, F, 3, H, W) pixels, (N, F, 2, H, W)."""
    return torch.einsum("ck,nfkhw->nfchw", YUV[1:].to(pixels), pixels)


def _shares(parts: Any) -> dict[str, dict[str, float]]:
    rows = list(parts)
    return {name: asdict(estimate(torch.cat([row[name] for row in rows]).tolist())) for name in READINGS}


def _sample(models: Path, prompts: list[Prompt], config: MeasureConfig, progress: bool) -> Evaluation:
    return evaluate(
        models / "reduced",
        prompts,
        models / "reward",
        seeds=list(range(config.seed, config.seed + config.seeds)),
        sampling=Sampling(config.D, config.guidance),
        judge=open_panel(models).columns,
        processes=config.processes,
        device="cpu",
        progress=progress,
    )


def reading(samples: Evaluation) -> dict[str, Any]:
    """What the judges read in samples, with the number of clips and their mean reward.

    `subject_both` and `movement_both` count clips that two judges read rightly; with one judge they are missing.
    """
    summary = samples.summary()
    read = {name: asdict(summary[name]) for name in (*READINGS, "reward")}
    for name in ("subject", "movement"):
        if f"{name}_2" in samples.numbers:
            both = samples.column(name) * samples.column(f"{name}_2")
            read[f"{name}_both"] = asdict(estimate(both.tolist()))
    return {"clips": len(samples.rows)} | read


def measure_faults(samples: Evaluation, prompts: list[Prompt]) -> dict[str, Any]:
    """The faults of web video in samples.

    `watermark_share`, `wash_share`, `tint_share`: of clips in which the judge reads a strength above 0.5; `samples`
    beside `clean` (renders of what the prompts describe) in the plain measurements of `ivtutorial.evaluation.looks`.
    """
    clean = [measure(_render(prompt)) for prompt in prompts]
    names = ("sharpness", "colourfulness", "blur", "wash", "noise", "watermark", "flicker", "motion")
    read = [name for name in ("watermark", "wash", "tint") if name in samples.numbers]
    shares = {f"{name}_share": float((samples.column(name) > 0.5).mean()) for name in read}
    return shares | {
        "samples": {name: float(samples.column(name).mean()) for name in names},
        "clean": {name: float(np.mean([row[name] for row in clean])) for name in clean[0]},
    }


def _render(prompt: Prompt) -> Tensor:
    facts = world.ClipFacts(**(prompt.facts or {}))
    pixels = world.render(facts, subject(facts.subject))
    return torch.from_numpy(pixels).permute(0, 3, 1, 2)[None]
