"""The numbers of a demo."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ivtutorial.evaluation.comparison import Comparison, compare
from ivtutorial.evaluation.intervals import bootstrap_interval
from ivtutorial.evaluation.table import Evaluation
from ivtutorial.lab.world.annotators import ALIGNMENT_WEIGHT, preferred, share_of_perfect
from ivtutorial.system.provenance import peak_memory_mb, provenance

if TYPE_CHECKING:
    from ivtutorial.training.run_folder import FinetuneResult
from ivtutorial.lab.demo.config import DemoConfig

JUDGED = ("subject", "colour", "scene", "movement", "action", "watermark", "blur", "wash")
MEASURED = ("sharpness", "colourfulness", "flicker")


def demo_summary(
    before: Evaluation, after: Evaluation, run: FinetuneResult, config: DemoConfig, processes: int
) -> dict[str, Any]:
    """The numbers of a demo, for summary.json.

    Returns:
        reward_before, reward_after: means over the prompts, by the paper's protocol.
        ci95: low and high end of the bootstrap 95 % interval of the paired rise. wins: share of prompts that rose.
        utility: before, after, ci95 of the paired rise; preferred: share of pairs in which simulated annotators prefer
        the clip after fine-tuning, its ci95, the share that a perfect clip would win, and how much of that clip's
        lead over even odds was won (both only with a judge).
        judge_before, judge_after: shares of clips whose subject, colour, scene, movement and action the judge reads as
        in the prompt; strength of watermark, blur and wash that it sees; measured sharpness, colourfulness, flicker.
        motion_before, motion_after: mean change of brightness from frame to frame.
        seconds_per_step, unet_evaluations: of fine-tuning (of single clips; guidance counts twice).
        peak_rss_mb: largest resident memory of a single process, 2^20 bytes.
        prompts, steps, processes, config; seed, date, hardware, versions, commit.
    """
    changes = compare(before, after)
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
        **(_truth(before, after, changes) if "utility" in columns else {}),
        "steps": run.steps,
        "seconds_per_step": run.seconds / max(1, run.steps),
        "peak_rss_mb": round(peak_memory_mb(), 1),
        "unet_evaluations": run.unet_evaluations,
        "processes": processes,
        "config": asdict(config),
        **provenance(config.seed),
    }


def _truth(before: Evaluation, after: Evaluation, changes: Comparison) -> dict[str, Any]:
    change, first, second = changes.columns["utility"], before.column("utility"), after.column("utility")
    won = preferred(first, second)
    return {
        "utility": {"before": change.before, "after": change.after, "ci95": [change.low, change.high]},
        "preferred": {
            "share": float(won.mean()),
            "ci95": list(bootstrap_interval(won.tolist())),
            "perfect": float(preferred(first, ALIGNMENT_WEIGHT).mean()),
            "share_of_perfect": share_of_perfect(first, second),
        },
    }
