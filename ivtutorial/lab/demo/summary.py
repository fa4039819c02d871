"""The numbers of a demo."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ivtutorial.evaluation.comparison import Comparison
from ivtutorial.system.provenance import peak_memory_mb, provenance

if TYPE_CHECKING:
    from ivtutorial.training.run_folder import FinetuneResult
from ivtutorial.lab.demo.config import DemoConfig

JUDGED = ("subject", "colour", "scene", "movement", "action", "watermark", "blur", "wash")
MEASURED = ("sharpness", "colourfulness", "flicker")


def demo_summary(changes: Comparison, run: FinetuneResult, config: DemoConfig, processes: int) -> dict[str, Any]:
    """The numbers of a demo, for summary.json.

    Returns:
        reward_before, reward_after: means over the prompts, by the paper's protocol.
        ci95: low and high end of the bootstrap 95 % interval of the paired rise. wins: share of prompts that rose.
        judge_before, judge_after: shares of clips whose subject, colour, scene, movement and action the judge reads as
        asked for; strength of watermark, blur and wash that it sees; measured sharpness, colourfulness, flicker.
        motion_before, motion_after: mean change of brightness from frame to frame.
        seconds_per_step, unet_evaluations: of fine-tuning (of single clips; guidance counts twice).
        peak_rss_mb: largest resident memory of a single process, 2^20 bytes.
        prompts, steps, processes, config; seed, date, hardware, versions, commit.
    """
    columns, reward = changes.columns, changes.reward
    names = [name for name in (*JUDGED, *MEASURED) if name in columns]
    return {
        "reward_before": reward.before,
        "reward_after": reward.after,
        "ci95": [reward.low, reward.high],
        "judge_before": {name: columns[name].before for name in names},
        "judge_after": {name: columns[name].after for name in names},
        "motion_before": columns["motion"].before,
        "motion_after": columns["motion"].after,
        "prompts": reward.n,
        "wins": reward.wins,
        "steps": run.steps,
        "seconds_per_step": run.seconds / max(1, run.steps),
        "peak_rss_mb": round(peak_memory_mb(), 1),
        "unet_evaluations": run.unet_evaluations,
        "processes": processes,
        "config": asdict(config),
        **provenance(config.seed),
    }
