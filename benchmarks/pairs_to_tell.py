"""Sheets of unlabelled pairs from the demo, left and right drawn by lot, for somebody who says which clip is "after".

python benchmarks/pairs_to_tell.py --demo runs/demo --out runs/to_tell           # sheets
python benchmarks/pairs_to_tell.py --demo runs/demo --answers "left,right,..."   # writes data/results/told_by_eye.json
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from ivtutorial.data.prompts import spread
from ivtutorial.system.files import data_path
from ivtutorial.system.provenance import provenance
from ivtutorial.video.reader import read_video
from ivtutorial.video.writer import to_uint8

PAIRS, SEED, STILL, SCALE, COLUMNS = 30, 3, 8, 3, 3


def pairs(demo: Path) -> list[dict[str, Any]]:
    """Rows of the demo's two evaluations, evenly spread over its prompts, and on which side "after" stands."""
    rows = {name: json.loads((demo / name / "evaluation.json").read_text())["rows"] for name in ("before", "after")}
    chosen = spread(list(range(len(rows["before"]))), PAIRS)
    lot = random.Random(SEED)
    sides = lot.sample(["left", "right"] * (PAIRS // 2), PAIRS)
    lot.shuffle(chosen)
    return [{"before": rows["before"][k], "after": rows["after"][k], "side": s} for k, s in zip(chosen, sides)]


def draw(demo: Path, out: Path) -> None:
    """Write the sheets, fifteen pairs each: one still of both clips, neither caption nor label."""
    out.mkdir(parents=True, exist_ok=True)
    side = 64 * SCALE
    chosen = pairs(demo)
    for first in range(0, PAIRS, 5 * COLUMNS):
        sheet = Image.new("RGB", (COLUMNS * (2 * side + 24), 5 * (side + 26)), "white")
        pen = ImageDraw.Draw(sheet)
        for cell, pair in enumerate(chosen[first : first + 5 * COLUMNS]):
            x, y = cell % COLUMNS * (2 * side + 24), cell // COLUMNS * (side + 26)
            pen.text((x + 4, y + 4), str(first + cell + 1), fill="black")
            names = ("before", "after") if pair["side"] == "right" else ("after", "before")
            for k, name in enumerate(names):
                clip = to_uint8(read_video(demo / name / pair[name]["clip"]))
                frame = Image.fromarray(clip[STILL]).resize((side, side), Image.Resampling.NEAREST)
                sheet.paste(frame, (x + k * (side + 4), y + 20))
        sheet.save(out / f"pairs{first // (5 * COLUMNS) + 1}.png")


def main() -> None:
    """Write sheets, or count answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--out", type=Path, default=Path("runs/to_tell"))
    parser.add_argument("--answers", help="left or right for each pair in order, with commas between them")
    parser.add_argument("--reader", default="a person", help="who answered: a person, or which kind of model")
    options = parser.parse_args()
    if options.answers is None:
        draw(options.demo, options.out)
        return
    truth = [pair["side"] for pair in pairs(options.demo)]
    answers = options.answers.split(",")
    if len(answers) != len(truth):
        raise SystemExit(f"{len(answers)} answers for {len(truth)} pairs")
    result = {
        "right": sum(a == b for a, b in zip(answers, truth)), "pairs": len(truth), "truth": truth, "answers": answers,
        "reader": options.reader, "saw": "one still of each clip, neither captions nor labels",
        "provenance": provenance(SEED),
    }  # fmt: skip
    path = data_path("results") / "told_by_eye.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"{result['right']} of {result['pairs']}: {path}")


if __name__ == "__main__":
    main()
