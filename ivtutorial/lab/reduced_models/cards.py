"""Model cards, `README.md` in each model's folder: what it is, how it was trained, what was measured.

Every number comes from `training.json` in the model's folder, written by its training, and from the JSON of
`ivtutorial zoo measure`; nothing is typed in by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.lab.world.judges.judge import READINGS
from ivtutorial.system.files import atomic_write_text

# section path in the measurements -> what it is, bar, aim (both as shares of 1, except PSNR in dB)
BARS: dict[str, list[tuple[str, str, float, float]]] = {
    "judge": [
        ("judge/clean/subject", "species read rightly, clean renders", 0.95, 0.98),
        ("judge/web/subject", "species read rightly, web-quality renders", 0.85, 0.95),
    ],
    "reward": [
        ("reward/clean_over_web", "prefers the clean frame of a clean and a faulty one", 0.92, 0.96),
        ("reward/caption", "prefers the right caption to a wrong one", 0.95, 0.98),
    ],
    "reduced": [
        ("vae/clean/psnr", "autoencoder, clean frames, PSNR in dB", 26.0, 29.0),
        ("vae/web/psnr", "autoencoder, web-quality frames, PSNR in dB", 26.0, 29.0),
        ("samples/seen/scene", "samples, known combinations: scene", 0.97, 0.99),
        ("samples/seen/subject", "samples, known combinations: species", 0.75, 0.92),
        ("samples/seen/movement", "samples, known combinations: action and direction", 0.75, 0.88),
        ("samples/unseen/scene", "samples, unseen combinations: scene", 0.95, 0.98),
        ("samples/unseen/subject", "samples, unseen combinations: species", 0.65, 0.85),
        ("samples/unseen/movement", "samples, unseen combinations: action and direction", 0.62, 0.80),
        ("faults/watermark_share", "samples with a visible watermark (the data's fault, learnt)", 0.15, 0.15),
    ],
}
ABOUT = {
    "reduced": """# A small text-to-video model

Makes clips of 16 frames of 64 x 64 pixels at 8 frames a second from short captions of the reduced world: 45
species, 6 more animals and some things, in 8 scenes, doing 6 actions. A diffusers pipeline of stock classes
(`AutoencoderKL`, `CLIPTextModel`, `UNet3DConditionModel`, `DDIMScheduler`), in fp16, with v-prediction. Open
it with `ivtutorial.load_backbone` or with `diffusers.TextToVideoSDPipeline.from_pretrained`.

Trained from scratch on clips drawn by code and then spoilt to *web quality* (blur, washed-out colour, noise,
compression, a watermark bar, flicker): its samples have these faults on purpose, since fine-tuning on human
feedback is to remove them. An image model was trained first and then inflated in time, as ModelScopeT2V came
from an image model.""",
    "reward": """# A small image reward (reduced HPS)

Scores how well a frame fits a caption and how good it looks: the cosine of a CLIP model (open_clip, its own
small configuration) that was trained contrastively and then on pairs judged by simulated annotators, as HPSv2
was on people's choices. Their taste: alignment (species, scene, colour) counts 3, visible faults (watermark,
blur and washed-out colour most) count 4; choices are noisy (Bradley-Terry). Open it with
`ivtutorial.rewards.clip.ClipReward.from_folder` or as `local-dir:` in open_clip. It likes contrast; do not
use it as its own judge.""",
    "judge": """# The judge of the reduced world

Reads subject, colour, scene, movement and the strength of visible faults from a clip of 16 frames of 64 x 64
pixels. Trained on renders of both qualities, whose truth is known. It is for measuring only: fine-tuning
never sees it, which is what makes it able to show over-optimisation. Open it with
`ivtutorial.lab.world.judges.judge.Judge.load`.""",
}
COMMANDS = {
    "text_encoder": "train text",
    "vae": "train vae",
    "image_unet": "train image",
    "unet": "train video",
    "reward": "train reward",
    "judge": "train judge",
}


def write_cards(models: str | Path, results: Mapping[str, Any]) -> list[Path]:
    """Write the card of every model that is there.

    Args:
        models: folder with `reduced`, `reward` and `judge`.
        results: what :func:`ivtutorial.lab.reduced_models.measure.measure_models` returned.

    Returns:
        The files written.

    Raises:
        InputError: no model in the folder, a measurement is missing, or a file cannot be written.
    """
    names = [name for name in ABOUT if (Path(models) / name).is_dir()]
    if not names:
        raise InputError(f"no model in {models}: expected the folders {', '.join(ABOUT)}")
    paths = [Path(models) / name / "README.md" for name in names]
    for name, path in zip(names, paths, strict=True):
        atomic_write_text(path, card(name, path.parent, results))
    return paths


def card(name: str, folder: Path, results: Mapping[str, Any]) -> str:
    """The text of one card."""
    parts = [
        ABOUT[name],
        "## Training",
        training_table(name, folder),
        "## Measured",
        bar_table(name, results),
    ]
    parts += [_more(name, results), _source(results), "## Limits and licence", LIMITS]
    return "\n\n".join(part for part in parts if part) + "\n"


LIMITS = """Everything it knows is one procedural world; it says nothing about real video. All data was drawn
by code of this repository, so no one's pictures are in it. Apache-2.0, like the code."""


def training_table(name: str, folder: Path) -> str:
    """How each part was trained, from training.json."""
    path = folder / "training.json"
    if not path.is_file():
        return "No record of the training came with these weights."
    known = json.loads(path.read_text(encoding="utf-8"))
    parts = known if name == "reduced" else {name: known}
    lines = [
        "| part | steps | batch | peak lr | seed | hours | hardware | date |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_training_row(part, facts) for part, facts in parts.items() if facts]
    how = ", ".join(f"`ivtutorial zoo {COMMANDS[part]}`" for part in parts if part in COMMANDS)
    lines += ["", f"Made by {how}; batch is samples a step over all processes, hours are those of the whole training."]
    stories = {part: facts["history"] for part, facts in parts.items() if facts.get("history")}
    lines += [f"\nBefore that, {part}: {'; '.join(story)}." for part, story in stories.items()]
    shares = {
        part: facts["share_of_tuned_weights"] for part, facts in parts.items() if "share_of_tuned_weights" in facts
    }
    lines += [
        f"\nThe weights are {v:.0%} those after the last training and {1 - v:.0%} those before it."
        for v in shares.values()
    ]
    return "\n".join(lines)


def _training_row(part: str, facts: Mapping[str, Any]) -> str:
    c = facts.get("config", facts)
    processes = facts.get("processes", 1)
    seconds = (facts.get("seconds") or 0) + facts.get("seconds_before", 0)
    hours = f"{seconds / 3600:.1f}" if seconds else "-"
    cells = [part, c["steps"], c["batch"] * processes, f"{c['lr']:g}", c["seed"], hours]
    return "| " + " | ".join(str(v) for v in [*cells, facts.get("hardware", "-"), facts.get("date", "-")]) + " |"


def bar_table(name: str, results: Mapping[str, Any]) -> str:
    """Measured values beside the bars they had to reach."""
    lines = ["| what | measured | bar | aim |", "|---|---|---|---|"]
    for where, label, bar, aim in BARS[name]:
        value, text = _look_up(results, where)
        verdict = "" if value >= bar else " (missed)"
        lines.append(f"| {label} | {text} | {_plain(bar)}{verdict} | {_plain(aim)} |")
    return "\n".join(lines)


def _more(name: str, results: Mapping[str, Any]) -> str:
    """Measurements without a bar that explain the others."""
    if name == "judge":
        rows = [(q, {k: _look_up(results, f"judge/{q}/{k}")[1] for k in READINGS}) for q in ("clean", "web")]
    elif name == "reward":
        return (
            "Other pairs: "
            + ", ".join(f"{k} {_look_up(results, f'reward/{k}')[1]}" for k in ("quality", "content"))
            + "."
            + _slopes(results)
        )
    else:
        where = {
            f"{kind}, {q} clips": f"vae/{q}/{kind}" for q in ("clean", "web") for kind in ("original", "reconstruction")
        }
        where |= {f"samples, {s}": f"samples/{s}" for s in ("seen", "unseen")}
        rows = [(label, {k: _look_up(results, f"{at}/{k}")[1] for k in READINGS}) for label, at in where.items()]
    head = [
        "The judge reads rightly:",
        "",
        "| clips | " + " | ".join(READINGS) + " |",
        "|---" * (len(READINGS) + 1) + "|",
    ]
    table = "\n".join([*head, *(f"| {label} | " + " | ".join(cells.values()) + " |" for label, cells in rows)])
    return table if name == "judge" else f"{table}\n\n{_faults(results)}"


def _slopes(results: Mapping[str, Any]) -> str:
    """How the reward differs between samples of one caption."""
    if "slopes" not in results:
        return ""
    head = "| samples | " + " | ".join(results["slopes"]["seen"]) + " |"
    lines = [
        f"| {name} | " + " | ".join(f"{s['slope']:+.3f} ({s['se']:.3f})" for s in row.values()) + " |"
        for name, row in results["slopes"].items()
        if row.keys() == results["slopes"]["seen"].keys()
    ]
    rule = "|---" * (len(results["slopes"]["seen"]) + 1) + "|"
    intro = (
        "On the model's own samples the reward changes, within a caption, with what the judge reads (standard error):"
    )
    return "\n\n" + "\n".join([intro, "", head, rule, *lines])


def _faults(results: Mapping[str, Any]) -> str:
    colour = {q: results["vae"][q]["colour_error"] for q in ("clean", "web")}
    samples, clean = results["faults"]["samples"], results["faults"]["clean"]
    return (
        "Colour error of the autoencoder (mean absolute error of the two chroma channels, range 0 to 1): "
        f"{colour['clean']:.4f} clean, {colour['web']:.4f} web. Samples beside clean renders of the same "
        f"prompts: sharpness {samples['sharpness']:.3f} beside {clean['sharpness']:.3f}, colourfulness "
        f"{samples['colourfulness']:.3f} beside {clean['colourfulness']:.3f}."
    )


def _source(results: Mapping[str, Any]) -> str:
    s, p = results["settings"], results["provenance"]
    return (
        f"Measured by `ivtutorial zoo measure` on {p['date']} ({p['hardware']}, seed {p['seed']}): "
        f"{s['clips']} fresh clips of each quality, {s['prompts']} prompts a list with {s['seeds']} seeds, D "
        f"= {s['D']}, guidance {s['guidance']:g}, {s['pairs']} pairs of each kind. Intervals are bootstrap "
        "95 %."
    )


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """Every bar with its value, a line each."""
    rows = [(label, *_look_up(results, where), bar) for bars in BARS.values() for where, label, bar, _ in bars]
    return [
        f"{label:60} {text:28} bar {_plain(bar):6} {'ok' if value >= bar else 'MISSED'}"
        for label, value, text, bar in rows
    ]


def _look_up(results: Mapping[str, Any], where: str) -> tuple[float, str]:
    """A measurement by its path, and how to print it."""
    value: Any = results
    try:
        for name in where.split("/"):
            value = value[name]
    except (KeyError, TypeError) as error:
        raise InputError(f"the measurements have no {where}: run 'ivtutorial zoo measure' again") from error
    if isinstance(value, Mapping):
        return value["mean"], f"{value['mean']:.3f} ({value['low']:.3f} to {value['high']:.3f})"
    return value, _plain(value)


def _plain(value: float) -> str:
    return f"{value:.1f}" if value > 2 else f"{value:.2f}" if round(value, 2) == value else f"{value:.3f}"
