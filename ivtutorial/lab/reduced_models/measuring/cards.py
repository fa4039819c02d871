"""Model cards, `README.md` in each model's folder: what it is, how it was trained, what was measured.

Every number comes from `training.json` in the model's folder, written by its training, and from the JSON of
`ivtutorial zoo measure`; nothing is typed in by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ivtutorial.errors import InputError
from ivtutorial.lab.world.judges.judge import READINGS
from ivtutorial.system.files import atomic_write_text


def _read_rightly(judge: str) -> list[tuple[str, str, float, float]]:
    return [
        (f"{judge}/clean/subject", "species read rightly, clean renders", 0.95, 0.98),
        (f"{judge}/web/subject", "species read rightly, web-quality renders", 0.85, 0.95),
    ]


# section path in the measurements -> what it is, bar, aim: shares of 1, PSNR in dB, sizes in MB (at most so large)
BARS: dict[str, list[tuple[str, str, float, float]]] = {
    **{judge: _read_rightly(judge) for judge in ("judge", "judge_2")},
    "reward": [
        ("reward/clean_over_web", "prefers the clean frame of a clean and a faulty one", 0.96, 0.98),
        ("reward/caption", "prefers the right caption to a wrong one", 0.96, 0.98),
        ("pairs/right_over_wrong", "samples of the model: prefers the right species to a wrong one", 0.85, 0.92),
    ],
    "reduced": [
        ("vae/clean_frames/db", "autoencoder, clean frames, PSNR in dB", 29.0, 32.0),
        ("vae/clean_frames/db_subject", "autoencoder, clean frames, PSNR inside the subject in dB", 23.5, 26.0),
        ("vae/clean_frames/sharpness", "autoencoder, clean frames, sharpness kept", 0.85, 0.95),
        ("faults/samples/sharpness", "samples: sharpness", 0.29, 0.33),
        ("samples/seen/subject_both", "samples, known combinations: species, to both judges", 0.95, 0.98),
        ("samples/unseen/subject_both", "samples, unseen combinations: species, to both judges", 0.90, 0.95),
        ("samples/seen/movement", "samples, known combinations: action and direction", 0.93, 0.97),
        ("samples/unseen/movement", "samples, unseen combinations: action and direction", 0.88, 0.93),
        ("samples/seen/scene", "samples, known combinations: scene", 0.97, 0.99),
        ("samples/unseen/scene", "samples, unseen combinations: scene", 0.95, 0.98),
        (
            "faults/watermark_share",
            "samples with a watermark above half strength (learnt fault)",
            0.25,
            0.25,
        ),
        ("size/weights_mb", "weights of all models together, MB (at most)", 40.0, 40.0),
    ],
}
AT_MOST = ("size/weights_mb",)
OF_TWO_JUDGES = re.compile("judge_2/|pairs/|_both$")  # missing where there is one judge
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
was on people's choices; a sixth of the last pairs are samples of the video model that both judges rank alike.
The annotators' taste: alignment (species, scene, colour) counts 3, visible faults (watermark, blur and
washed-out colour most) count 4; choices are noisy (Bradley-Terry). Open it with
`ivtutorial.rewards.clip.ClipReward.from_folder` or as `local-dir:` in open_clip. It likes contrast; do not
use it as its own judge.""",
    "judge_2": """# The second judge of the reduced world

Reads what the first judge reads, with other layers and from another seed: where the two agree, neither is fooled alone;
`disagreement` is a column of every table. Fine-tuning never sees it; the reward was trained in part on pairs of samples
that both judges rank alike. Open it with `ivtutorial.lab.world.judges.panel.open_panel`.""",
    "features": """# Features of the reduced world

A small network whose features compare pictures; it reads species, colour, facing and where the subject is, from single
frames of both qualities. It has two uses: the autoencoder's perceptual loss, and the measure of artefacts
(`ivtutorial.lab.world.judges.artefacts`). Neither judge nor reward was made from it. Open it with
`ivtutorial.lab.world.judges.features.FeatureNet.load`.""",
    "judge": """# The judge of the reduced world

Reads subject, colour, scene, movement and the strength of visible faults from a clip of 16 frames of 64 x 64
pixels. Trained on renders of both qualities, whose truth is known. Fine-tuning never sees it, which is what
makes it able to show over-optimisation; the reward was trained in part on pairs of samples that both judges
rank alike. Open it with `ivtutorial.lab.world.judges.judge.Judge.load`.""",
}


def write_cards(models: str | Path, results: Mapping[str, Any]) -> list[Path]:
    """Write the card of every model that is there.

    Args:
        models: folder with `reduced`, `reward` and `judge`.
        results: what :func:`ivtutorial.lab.reduced_models.measuring.models.measure_models` returned.

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
    parts = [ABOUT[name], "## Training", training_table(folder)]
    if name in BARS:
        parts += ["## Measured", bar_table(name, results), KEY, _more(name, results), _source(results)]
    parts += ["## Limits and licence", LIMITS]
    return "\n\n".join(part for part in parts if part) + "\n"


KEY = "*Bar*: the least that was wanted (of a size: the most). *Aim*: what was hoped for."
# Above the table of what a judge reads, in the card of the video model and in its own.
HEADS = (
    "Share of clips in which the judge's reading agrees with the facts, or for samples with the prompt:",
    "Share of clips in which the judge's reading agrees with the facts:",
)
LIMITS = """Everything it knows is one procedural world; it says nothing about real video. All data was drawn
by code of this repository, so no one's pictures are in it. Apache-2.0, like the code."""


def training_table(folder: Path) -> str:
    """How each part was trained, from training.json."""
    path = folder / "training.json"
    if not path.is_file():
        return "No record of the training came with these weights."
    rows = json.loads(path.read_text(encoding="utf-8"))
    rows = {rows["stage"]: rows} if "stage" in rows else rows  # the features have a single stage
    lines = [
        "| stage | steps | samples a step | core-hours | hours | processes | finished |",
        "|---|---|---|---|---|---|---|",
        *(_training_row(stage, facts) for stage, facts in rows.items()),
    ]  # fmt: skip
    hardware = sorted({str(facts["hardware"]) for facts in rows.values() if "hardware" in facts})
    where = f" On {', '.join(hardware)}." if hardware else ""
    if any("started_from" in facts for facts in rows.values()):
        where += " It went on from the weights of an earlier training (`started_from` in training.json)."
    return "\n".join([*lines, "", f"Made by `ivtutorial zoo train-all`.{where}"])


def _training_row(stage: str, facts: Mapping[str, Any]) -> str:
    hours = [f"{facts[name] / 3600:.2f}" if name in facts else "-" for name in ("core_seconds", "seconds")]
    cells = [stage, facts.get("steps", "-"), facts.get("batch", "-"), *hours, facts.get("processes", 1)]
    return "| " + " | ".join(str(v) for v in [*cells, str(facts.get("finished", "-"))[:10]]) + " |"


def bar_table(name: str, results: Mapping[str, Any]) -> str:
    """Measured values beside the bars they had to reach; without a second judge some are missing."""
    lines = ["| what | measured | bar | aim |", "|---|---|---|---|"]
    for label, reached, text, bar, aim in _values(name, results):
        lines.append(f"| {label} | {text} | {_plain(bar)}{'' if reached else ' (missed)'} | {_plain(aim)} |")
    return "\n".join(lines)


def _values(name: str, results: Mapping[str, Any]) -> Iterator[tuple[str, bool, str, float, float]]:
    """Of each bar: what it is, whether it is reached, the measured value as text, the bar, the aim."""
    for where, label, bar, aim in BARS[name]:
        try:
            value, text = _look_up(results, where)
        except InputError:
            if OF_TWO_JUDGES.search(where):
                continue
            raise
        yield label, value <= bar if where in AT_MOST else value >= bar, text, bar, aim


def _more(name: str, results: Mapping[str, Any]) -> str:
    """Measurements without a bar that explain the others."""
    if name in ("judge", "judge_2"):
        if name not in results:
            return ""
        rows = [(q, {k: _look_up(results, f"{name}/{q}/{k}")[1] for k in READINGS}) for q in ("clean", "web")]
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
        HEADS[name.startswith("judge")],
        "",
        "| clips | " + " | ".join(READINGS) + " |",
        "|---" * (len(READINGS) + 1) + "|",
    ]
    table = "\n".join([*head, *(f"| {label} | " + " | ".join(cells.values()) + " |" for label, cells in rows)])
    return table if name.startswith("judge") else f"{table}\n\n{_faults(results)}"


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
        f"{samples['colourfulness']:.3f} beside {clean['colourfulness']:.3f}." + _fault_shares(results)
    )


def _fault_shares(results: Mapping[str, Any]) -> str:
    shares = {name: results["faults"].get(f"{name}_share") for name in ("watermark", "wash", "tint")}
    texts = [f"{name} in {share:.0%}" for name, share in shares.items() if share is not None]
    return f" The judge reads a fault stronger than one half: {', '.join(texts)} of the samples." if texts else ""


def _source(results: Mapping[str, Any]) -> str:
    s, p = results["settings"], results["provenance"]
    return (
        f"Measured by `ivtutorial zoo measure` on {p['date']} ({p['hardware']}, seed {p['seed']}): "
        f"{s['clips']} fresh clips of each quality, {s['prompts']} prompts a list with {s['seeds']} seeds, "
        f"D = {s['D']}, guidance {s['guidance']:g}, {s['pairs']} pairs of each kind. Intervals are bootstrap 95 %."
    )


def summary_lines(results: Mapping[str, Any]) -> list[str]:
    """Every bar with its value, a line each."""
    rows = [row for name in BARS for row in _values(name, results)]
    return [
        f"{label:64} {text:28} bar {_plain(bar):6} {'ok' if reached else 'MISSED'}"
        for label, reached, text, bar, _ in rows
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
