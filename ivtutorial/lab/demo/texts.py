"""What the demo's page says in words."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ivtutorial.evaluation.comparison import Comparison, Difference
from ivtutorial.lab.demo.report import Wanted

TITLE = "InstructVideo on a small model: before and after"
BEST, MEDIAN, WORST = "The largest gain", "The median", "The largest loss"
FEATURED = (
    "Both clips of a pair grow from the same noise: left of the line before, right of it after fine-tuning. Move the "
    "line. The pairs are the first, the middle and the last of all prompts by their change of utility, which nothing "
    "was trained for: what a viewer who knows the prompt would say of the clip, at most 3."
)
PAIRS = (
    "These prompts were taken evenly from the list, not chosen by how well they came out. None of them, and no clip of "
    "what it describes, was used in fine-tuning."
)
# column -> label, decimals
NUMBERS = {"reward": ("reward", 3), "utility": ("utility", 1)}
LOOK = [
    "The pale watermark bar across the sky fades: it came from the clips the base model learnt from, and "
    "the reward dislikes it.",
    "Haze, blur and grain give way to deeper colours and firmer edges.",
    "The animal, its place and what it does should stay what the prompt says. If they did not, the reward "
    "would be rising at the clip's expense (over-optimisation); the judge in the table watches for that.",
    "Movement should stay too: a reward for single frames does not mind a clip that freezes.",
]
CURVE = (
    "Grey: the mean reward of the frames of each training step (edited training clips), and its running mean. It jumps "
    "about because every step draws other clips, frames and noise. "
)
PROBES = (
    "Green: samples from pure noise for a few other prompts, with the same noise in every round; this line "
    "shows whether the model improves."
)
ENDS = (
    "Green: the mean of the held-out prompts before and after, from pure noise and with the same noise; this "
    "shows whether the model improves."
)
TABLE = (
    "Means over all prompts. Changes and their 95 % intervals are paired: the same prompt and noise before "
    "and after. The reward was trained for; everything else was read by a judge that fine-tuning never saw, "
    "or plainly measured. Shares are percentages of clips, changes of shares are percentage points."
)
# column -> label, which way it should go, whether it is a share
ROWS: dict[str, tuple[str, Wanted, bool]] = {
    "reward": ("reward (first frame of each segment)", "up", False),
    "utility": ("utility, at most 3", "up", False),
    "watermark": ("watermark, strength seen", "down", False),
    "blur": ("blur, strength seen", "down", False),
    "wash": ("washed-out colour, strength seen", "down", False),
    "sharpness": ("sharpness of edges", "up", False),
    "colourfulness": ("colourfulness", "up", False),
    "subject": ("right subject", "same", True),
    "colour": ("right colour", "same", True),
    "scene": ("right scene", "same", True),
    "movement": ("right movement and direction", "same", True),
    "action": ("right action", "same", True),
    "artefact": ("strangeness: distance to the nearest drawings", "same", False),
    "motion": ("motion (mean change between frames)", "same", False),
    "flicker": ("flicker of brightness", "down", False),
}


GRADIENT = {
    "strongest": "through the step of largest gain, the last but one",
    1: "through the last step alone, as in the paper",
}


def lead(changes: Comparison, summary: Mapping[str, Any], paper: Mapping[str, Any] | None = None) -> str:
    """The result in a few sentences.

    Args:
        changes: of every column.
        summary: of this demo.
        paper: summary of a stored demo with the paper's gradient, to set beside it.
    """
    return _result(changes, summary) + (_beside(paper) if paper is not None else "")


def _beside(paper: Mapping[str, Any]) -> str:
    rise, (low, high) = paper["utility"]["after"] - paper["utility"]["before"], paper["utility"]["ci95"]
    return (
        f" In a stored run of {paper['date']} the paper's own gradient, through the last step alone, moved it by "
        f"{rise:+.2f} ({low:+.2f} to {high:+.2f}) in {paper['steps']} steps; "
        "ivtutorial demo --paper repeats it."
    )


def _result(changes: Comparison, summary: Mapping[str, Any]) -> str:
    reward = changes.reward
    moved = _moved(reward, 3) + _unsure(reward)
    text = f"After {summary['steps']} steps the reward of {reward.n} held-out prompts {moved}."
    if "utility" not in changes.columns:
        return text
    utility, preferred = changes.columns["utility"], summary["preferred"]
    return text + (
        f" Their utility, which nothing was trained for, {_moved(utility, 2)}{_unsure(utility)}. Simulated annotators "
        f"prefer the clip after fine-tuning in {100 * preferred['share']:.0f} % of the pairs; they would prefer a "
        f"perfect one in {100 * preferred['perfect']:.0f} %."
    )


def _moved(d: Difference, digits: int) -> str:
    verb = "rose" if d.mean > 0 else "fell"
    return (
        f"{verb} from {d.before:.{digits}f} to {d.after:.{digits}f} (by {d.mean:+.{digits}f}, 95 % interval "
        f"{d.low:+.{digits}f} to {d.high:+.{digits}f})"
    )


def _unsure(d: Difference) -> str:
    return "" if d.low > 0 or d.high < 0 else ", which is no clear change since the interval includes 0"


def commands(out: Path, lora: Path) -> list[tuple[str, str]]:
    """What to try next."""
    return [
        (
            "Ask for something else:",
            f'ivtutorial generate --lora {lora} "a red fox running through the snow"',
        ),
        (
            "Take half of the adapter, or none of it:",
            f"ivtutorial generate --lora {lora} --lora-scale 0.5 --prompts demo --out runs/half",
        ),
        (
            "Train for longer, and see the reward rise while clips get worse:",
            "ivtutorial demo --paper --steps 96 --lr 2e-3 --out runs/too_far",
        ),
        (
            "The paper's own gradient, which comes through the last step alone:",
            "ivtutorial demo --paper --out runs/paper",
        ),
        (
            "Unseen animals and things without legs:",
            f"ivtutorial evaluate --prompts things --lora {lora} --out runs/things",
        ),
        (
            "Fine-tune on your own clips (a CSV with video,caption):",
            "ivtutorial finetune my_clips.csv --steps 24 --lr 1e-3 --set method.K=strongest",
        ),
        ("All numbers of this page:", f"cat {out / 'summary.json'}"),
    ]


def details(summary: Mapping[str, Any]) -> dict[str, str]:
    """Settings and provenance."""
    config = summary["config"]
    return {
        "method": f"InstructVideo: tau 0.6, S 4, lambda_tar 1, LoRA rank 4; gradient {GRADIENT[config['K']]}",
        "DDIM steps, guidance": f"{config['D']}, {config['guidance']:g}",
        "steps, clips a step": f"{summary['steps']}, {config['clips_per_step']}",
        "learning rate": f"{config['lr']:g} (paper: 1e-05 for 20,000 steps)",
        "seconds a step": f"{summary['seconds_per_step']:.2f}",
        "UNet evaluations": f"{summary['unet_evaluations']:,} in fine-tuning",
        "memory": f"{summary['peak_rss_mb']:.0f} MB at most in a process, {summary['processes']} processes",
        "hardware": summary["hardware"],
        "seed, date": f"{summary['seed']}, {summary['date']}",
        "versions": ", ".join(f"{name} {number}" for name, number in summary["versions"].items()),
        "commit": summary["commit"] or "not in a checkout",
    }
