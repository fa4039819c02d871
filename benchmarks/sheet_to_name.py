"""Sheets of one sample a species without captions, for a reader who names what they show; and the count of right names.

python benchmarks/sheet_to_name.py --out runs/to_name               # sheets, and the truth in truth.json
python benchmarks/sheet_to_name.py --answers "gorilla,chicken,..."   # writes data/results/named_by_eye.json
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import torch
from PIL import Image, ImageDraw

from ivtutorial.data.prompts import Prompt, shipped_prompts
from ivtutorial.models.named import open_model
from ivtutorial.models.precision import unet_in
from ivtutorial.sampling.generation import Job, Sampling, sample_batches
from ivtutorial.system.files import data_path
from ivtutorial.system.provenance import provenance
from ivtutorial.video.writer import to_uint8

SEED, ORDER, STILLS, SCALE, COLUMNS = 11, 5, (4, 11), 3, 5


def prompts() -> list[Prompt]:
    """The first in-domain prompt of each species, in an order that says nothing."""
    first: dict[str, Prompt] = {}
    for prompt in shipped_prompts("in_domain"):
        first.setdefault(prompt.facts["subject"], prompt)  # type: ignore[index]
    chosen = list(first.values())
    random.Random(ORDER).shuffle(chosen)
    return chosen


def draw(out: Path) -> None:
    """Sample and write the sheets, fifteen cells each, and the truth beside them."""
    out.mkdir(parents=True, exist_ok=True)
    chosen, backbone = prompts(), open_model("reduced", unet_in("bf16"))
    jobs = [Job(k, prompt.text, SEED) for k, prompt in enumerate(chosen)]
    sampled = torch.cat([clips for _, clips in sample_batches(backbone, jobs, Sampling(20))])
    clips = [to_uint8(clip) for clip in sampled]
    side = 64 * SCALE
    for first in range(0, len(clips), 3 * COLUMNS):
        sheet = Image.new("RGB", (COLUMNS * (2 * side + 12), 3 * (side + 26)), "white")
        pen = ImageDraw.Draw(sheet)
        for cell, clip in enumerate(clips[first : first + 3 * COLUMNS]):
            x, y = cell % COLUMNS * (2 * side + 12), cell // COLUMNS * (side + 26)
            pen.text((x + 4, y + 4), str(first + cell + 1), fill="black")
            for k, still in enumerate(STILLS):
                frame = Image.fromarray(clip[still]).resize((side, side), Image.Resampling.NEAREST)
                sheet.paste(frame, (x + k * side, y + 20))
        sheet.save(out / f"sheet{first // (3 * COLUMNS) + 1}.png")
    truth = [prompt.facts["subject"] for prompt in chosen if prompt.facts]
    (out / "truth.json").write_text(json.dumps(truth) + "\n", encoding="utf-8")


def main() -> None:
    """Write sheets, or count answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/to_name"))
    parser.add_argument("--answers", help="names of all cells in their order, with commas between them")
    parser.add_argument("--reader", default="a person", help="who answered: a person, or which kind of model")
    options = parser.parse_args()
    if options.answers is None:
        draw(options.out)
        return
    truth = [prompt.facts["subject"] for prompt in prompts() if prompt.facts]
    answers = options.answers.split(",")
    if len(answers) != len(truth):
        raise SystemExit(f"{len(answers)} answers for {len(truth)} cells")
    result = {
        "right": sum(a == b for a, b in zip(answers, truth)), "cells": len(truth), "truth": truth, "answers": answers,
        "reader": options.reader, "saw": "the list of species, not the captions; two stills a cell",
        "provenance": provenance(SEED),
    }  # fmt: skip
    path = data_path("results") / "named_by_eye.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{result['right']} of {result['cells']}: {path}")


if __name__ == "__main__":
    main()
