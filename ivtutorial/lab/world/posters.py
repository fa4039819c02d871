"""The zoo in pictures, as HTML for the book: its subjects, scenes and movements, the faults, what is held out.

Every picture is drawn when it is asked for, by the renderer that draws the clips; only the samples of the base model
are those stored in data/gallery.
"""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import Image

from ivtutorial.data.prompts import shipped_prompts
from ivtutorial.lab.world import facts as world, web_faults as web
from ivtutorial.lab.world.drawing.pen import Array
from ivtutorial.lab.world.drawing.scenes import SCENES
from ivtutorial.lab.world.drawing.subjects import ALL, NEW_ANIMALS, SPECIES, subject
from ivtutorial.lab.world.judges.judge import open_judge
from ivtutorial.notebook import clip_row
from ivtutorial.pages.embed import picture
from ivtutorial.system.files import data_path
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import to_uint8

# A fox that stands clear of the edges all the time; every picture of faults is made from it.
FOX = world.ClipFacts("fox", "red", "snow", "walk", "left", seed=7)
STYLE = (
    "<style>.zoo-grid{display:grid;gap:.5rem;text-align:center}.zoo-grid figure.zoo{margin:0;padding:0}"
    ".zoo-grid img{width:100%!important;image-rendering:pixelated;padding:0!important;background:none!important}"
    ".zoo-grid figcaption{font-size:.75rem;line-height:1.2;margin:0;padding:0;text-align:center}"
    ".zoo-grid :is(.out,.new img){outline:3px solid #d55e00;outline-offset:-1px}"
    ".zoo-grid .thing img{outline:3px solid #0072b2;outline-offset:-1px}</style>"
)


def zoo_poster() -> str:
    """One frame of every subject in its most natural colour, the scenes taking turns.

    Returns:
        HTML text; new animals have an orange frame, things a blue one.
    """
    cells = []
    for k, item in enumerate(ALL):
        kind = "" if item in SPECIES else "new" if item.name in NEW_ANIMALS else "thing"
        facts = world.ClipFacts(item.name, item.colours[0], SCENES[k % len(SCENES)], "rest", "left", seed=k)
        said = {"": "", "new": ", new animal", "thing": ", thing"}[kind]
        words = f"a {facts.colour} {item.name}: {facts.scene}{said}"
        cells.append((_still(facts), item.name.replace("hippo", "hippo\u00ad"), words, kind))
    return _grid(cells, "repeat(auto-fill,minmax(4.6rem,1fr))")


def scene_poster() -> str:
    """The fox in each of the eight scenes."""
    cells = [(_still(replace(FOX, scene=scene)), scene, f"a red fox: {scene}") for scene in SCENES]
    return _grid(cells, "repeat(auto-fill,minmax(max(7rem,22%),1fr))")


def movement_row() -> str:
    """The six actions of the fox, as clips that play in step."""
    clips = [world.render(replace(FOX, scene="meadow", action=action), subject("fox")) for action in world.ACTIONS]
    return clip_row(clips, list(world.ACTIONS))


def fault_row() -> str:
    """The fox without a fault, and with each of the eight at its strongest, as clips that play in step."""
    clean = world.render(FOX, subject("fox"))
    faults = [web.WebFaults(**{name: top}, seed=3) for name, top in web.STRONGEST.items()]  # type: ignore[arg-type]
    spoilt = [web.degrade(clean, fault) for fault in faults]
    return clip_row([clean, *spoilt], ["clean", *web.STRONGEST])


def held_out_grid(name: str = "fox") -> str:
    """Every colour of a subject (rows) in every scene (columns); an orange frame marks what is held out.

    Args:
        name: of the subject.

    Returns:
        HTML text.
    """
    cells = []
    for colour in subject(name).colours:
        for scene in SCENES:
            out = world.is_held_out(name, colour, scene)
            still = _still(world.ClipFacts(name, colour, scene, "rest", "left", seed=7))
            words = f"{colour}, {scene}: {'held out' if out else 'seen'}"
            cells.append((still, f"{colour}, {scene}", words, "out" if out else ""))
    grid = _grid(cells, f"repeat({len(SCENES)},minmax(3.4rem,1fr))")
    return f'<div style="overflow-x:auto" role="region" tabindex="0" aria-label="Held-out combinations">{grid}</div>'


def _still(facts: world.ClipFacts) -> Array:
    return world.render(facts, subject(facts.subject), frames=[8])[0]


def base_samples() -> str:
    """Drawings of four prompts, and below them what the base model samples for these, with what the judge reads.

    The samples are those that data/gallery shows before fine-tuning.

    Returns:
        HTML text, of clips that play in step.
    """
    film, size = data_path("gallery", "before_after.mp4"), world.SIZE
    prompts = json.loads(film.with_suffix(".json").read_text(encoding="utf-8"))
    known = {prompt.text: prompt.facts or {} for prompt in shipped_prompts("demo")}
    facts = [world.ClipFacts(**known[prompt]) for prompt in prompts]
    frames = read_video(film, world.FRAMES, world.FPS)  # a column for each prompt: before fine-tuning, below it after
    samples = [frames[:, :size, k * size : (k + 1) * size] for k in range(len(prompts))]
    read = open_judge()(torch.from_numpy(np.stack(samples)).permute(0, 1, 4, 2, 3) / 255, facts)
    seen = zip(read.colour, read.subject, read.scene, read.movement, read.faults["watermark"], strict=True)
    labels = [f"sample; read: {a} {b}, {c}, {d}; watermark {strength:.2f}" for a, b, c, d, strength in seen]
    drawings = [world.render(one, subject(one.subject)) for one in facts]
    return clip_row([*drawings, *samples], [*(f"drawing: {prompt}" for prompt in prompts), *labels])


def _grid(cells: Sequence[tuple[Array, str, str] | tuple[Array, str, str, str]], columns: str) -> str:
    """Pictures (H, W, 3) with a word below and words for those who cannot see them; the last item names the frame."""
    figures = []
    for frame, word, alt, *kind in cells:
        pixels = Image.fromarray(to_uint8(np.asarray(frame)[None])[0])
        note = "<b>held out</b><br>" if "out" in kind else ""
        words = f"<figcaption>{note}{html.escape(word)}</figcaption>"
        figures.append(
            f'<figure class="{" ".join(["zoo", *kind])}">{picture(pixels, alt, lossless=True)}{words}</figure>'
        )
    return f'{STYLE}<div class="zoo-grid" style="grid-template-columns:{columns}">{"".join(figures)}</div>'
