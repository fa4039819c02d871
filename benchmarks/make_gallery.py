"""Make the pictures of data/gallery: the subjects of the zoo, base samples, and pairs before and after the demo.

ivtutorial demo && python benchmarks/make_gallery.py --demo runs/demo
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import ALL
from ivtutorial.video.reader import read_video
from ivtutorial.video.sheet import contact_sheet
from ivtutorial.video.writer import to_uint8, write_video

PAIRS = range(0, 64, 8)  # every eighth prompt, whatever it shows
SIDE, NEAR, FAR, LINE = 192, 4, 28, 20  # pixels: a frame, between before and after, between pairs, a line of text


def clips_of(folder: Path) -> list[dict[str, Any]]:
    """Rows of an evaluation with their clips read."""
    rows: list[dict[str, Any]] = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))["rows"]
    return [{**row, "frames": read_video(folder / row["clip"])} for row in rows]


def save(picture: Image.Image, path: Path, colours: int | None = 256) -> None:
    """Write a picture; a palette keeps a large sheet small, and shows as specks on smooth skies (None: all colours)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if colours is not None:
        picture = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours)
    picture.save(path, optimize=True)
    print(path)


def save_pairs(pairs: list[tuple[dict[str, Any], dict[str, Any]]], path: Path) -> None:
    """Write one clip of several pairs, a column a pair, before above after, in their own size; and their prompts."""
    columns = [np.concatenate([to_uint8(clip["frames"]) for clip in pair], axis=1) for pair in pairs]
    write_video(path, np.concatenate(columns, axis=2))
    prompts = [before["prompt"] for before, _ in pairs]
    path.with_suffix(".json").write_text(json.dumps(prompts, indent=1) + "\n", encoding="utf-8")
    print(path)


def pairs_sheet(pairs: list[tuple[Image.Image, Image.Image]], prompts: list[str]) -> Image.Image:
    """Frames of SIDE pixels, before and after, two pairs a row, each with its prompt below it."""
    font, width = ImageFont.load_default(size=16), 2 * SIDE + NEAR
    height = SIDE + 3 * LINE + FAR
    sheet = Image.new("RGB", (2 * width + 3 * FAR // 2, -(-len(pairs) // 2) * height), "white")
    draw = ImageDraw.Draw(sheet)
    for k, (frames, prompt) in enumerate(zip(pairs, prompts, strict=True)):
        left, top = FAR // 4 + k % 2 * (width + FAR), k // 2 * height + FAR // 4
        for x, word, frame in zip((left, left + SIDE + NEAR), ("before", "after"), frames, strict=True):
            sheet.paste(frame.resize((SIDE, SIDE), Image.Resampling.NEAREST), (x, top))
            draw.text((x + SIDE // 2, top + SIDE + 3), word, fill=(90, 90, 90), font=font, anchor="ma")
        lines = [""]
        for word in prompt.split():
            longer = f"{lines[-1]} {word}".strip()
            lines = [*lines[:-1], longer] if font.getlength(longer) <= width else [*lines, word]
        for n, line in enumerate(lines, 1):
            draw.text((left, top + SIDE + 3 + n * LINE), line, fill=(20, 20, 20), font=font)
    return sheet


def save_moving(sheets: list[Image.Image], path: Path) -> None:
    """Write sheets as an endless picture of 8 frames a second, for pages that cannot play a video."""
    sheets[0].save(path, save_all=True, append_images=sheets[1:], duration=125, loop=0, quality=60, method=6)
    print(path)


def main() -> None:
    """Write zoo.png, base_samples.png, tuned_samples.png, before_after.png, .webp, .mp4 and .json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"))
    parser.add_argument("--out", type=Path, default=Path("data/gallery"))
    options = parser.parse_args()
    drawn = [
        world.render(world.ClipFacts(s.name, s.colours[0], "meadow", "rest", "right", k), s) for k, s in enumerate(ALL)
    ]
    save(contact_sheet(drawn, [s.name for s in ALL], columns=13, frame=8, scale=1), options.out / "zoo.png")
    before, after = clips_of(options.demo / "before"), clips_of(options.demo / "after")
    for name, rows in (("base_samples", before), ("tuned_samples", after)):
        sheet = contact_sheet(
            [r["frames"] for r in rows], [r["prompt"] for r in rows], columns=8, frame=8, scale=2, lines=5
        )
        save(sheet, options.out / f"{name}.png")
    pairs = [(before[k], after[k]) for k in PAIRS if k < len(before)]
    prompts = [row["prompt"] for row, _ in pairs]
    shown = [[[Image.fromarray(frame) for frame in to_uint8(row["frames"])] for row in pair] for pair in pairs]
    sheets = [pairs_sheet([(first[k], second[k]) for first, second in shown], prompts) for k in range(len(shown[0][0]))]
    save(sheets[8], options.out / "before_after.png", None)
    save_moving(sheets, options.out / "before_after.webp")
    save_pairs(pairs[:4], options.out / "before_after.mp4")


if __name__ == "__main__":
    main()
