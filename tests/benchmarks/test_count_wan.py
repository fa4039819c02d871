"""What is counted of a step of Wan 2.1 at full size: the goal of 9 GiB, the presets, and the texts that quote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ivtutorial.training import presets

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "data" / "results" / "count_wan.json").read_text(encoding="utf-8"))
CARDS = json.loads((ROOT / "data" / "results" / "count_step.json").read_text(encoding="utf-8"))["cards"]
ROWS = {(row["name"], (row["frames"], row["height"], row["width"])): row for row in TABLE["rows"]}
CLIPS = [(17, 256, 256), (17, 480, 832), (81, 256, 256), (81, 480, 832)]
WAYS = ("16gb", "16gb, two phases", "80gb", "16gb, tiny decoder")
OTHERS = ("16gb, tiny decoder", "80gb")
SMALL = ROWS["preset 16gb", (17, 256, 256)]


def test_a_short_small_clip_needs_less_than_nine_gib() -> None:
    assert (SMALL["clips"], SMALL["precision"]) == (1, "bf16")
    assert SMALL["resident_gib"] < SMALL["peak_gib"] < 9


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("name", ["16gb", "80gb"])
def test_every_preset_is_counted_as_it_is_defined(name: str, clip: tuple[int, int, int]) -> None:
    row, settings = ROWS[f"preset {name}", clip], presets.preset(name)
    assert (row["precision"], row["clips"], row["passes"]) == tuple(
        settings[key] for key in ("precision", "batch_size", "accumulation")
    )
    assert row["clips"] * row["passes"] == TABLE["settings"]["clips_of_a_step"] == 8


@pytest.mark.parametrize("clip", CLIPS)
def test_two_phases_run_the_network_once_more_and_never_need_more_memory(clip: tuple[int, int, int]) -> None:
    one, two = ROWS["preset 16gb", clip], ROWS["preset 16gb, two phases", clip]
    assert two["tflop"] > one["tflop"] and two["peak_gib"] <= one["peak_gib"]


@pytest.mark.parametrize("clip", CLIPS)
def test_the_tiny_decoder_brings_a_short_clip_below_twelve_gib_and_a_long_one_below_sixteen(
    clip: tuple[int, int, int],
) -> None:
    full, tiny = ROWS["preset 16gb", clip], ROWS["preset 16gb, tiny decoder", clip]
    assert tiny["peak_gib"] < min(full["peak_gib"], 12 if clip[0] == 17 else 16) and tiny["tflop"] < full["tflop"]
    assert tiny["resident_gib"] - full["resident_gib"] == pytest.approx(2 * 9_844_611 / 2**30, abs=1e-3)


def test_the_file_says_where_it_is_from() -> None:
    assert {"date", "hardware", "versions", "commit", "seed"} <= TABLE.keys()
    assert len(ROWS) == len(TABLE["rows"])
    assert set(ROWS) == {(f"preset {way}", clip) for way in WAYS for clip in CLIPS}


def test_the_texts_say_what_was_counted() -> None:
    gib = f"{SMALL['peak_gib']:.1f}"
    for path in ("CHANGELOG.md", "ivtutorial/training/presets.py", "book/benchmarks.md"):
        text = " ".join((ROOT / path).read_text(encoding="utf-8").replace("\n#", "\n").split())
        assert f"{gib} GiB" in text, path
    two = ROWS["preset 16gb, two phases", (17, 256, 256)]
    assert f"({two['peak_gib']:.1f} GiB)" in (ROOT / "ivtutorial/training/presets.py").read_text(encoding="utf-8")
    saved, more = SMALL["peak_gib"] - two["peak_gib"], two["tflop"] / SMALL["tflop"] - 1
    page = " ".join((ROOT / "book/benchmarks.md").read_text(encoding="utf-8").split())
    assert round(4 * saved) == 1
    assert f"Two phases would save a quarter of a GiB for {more:.0%}".replace("%", " %") in page
    large = ROWS["preset 16gb", (17, 480, 832)]["peak_gib"]
    assert large > 24 and f"{large:.1f} GiB for one clip with everything recomputed" in page
    both = ROWS["preset 80gb", (17, 480, 832)]["peak_gib"]
    assert f"{both:.1f} GiB with two clips at once (`80gb`)" in page
    first, second = (ROWS["preset 16gb, tiny decoder", clip]["peak_gib"] for clip in CLIPS[:2])
    assert f"then needs {first:.1f} GiB at 256 x 256 pixels, and {second:.1f} GiB at 480 x 832" in page
    ways = ("", ", two phases", ", tiny decoder")
    one, two, tiny = (ROWS[f"preset 16gb{way}", (81, 480, 832)]["peak_gib"] for way in ways)
    more = ROWS["preset 16gb, two phases", (81, 480, 832)]["tflop"] / ROWS["preset 16gb", (81, 480, 832)]["tflop"] - 1
    assert f"two phases pay: {two:.1f} GiB in place of {one:.1f}, for {100 * more:.0f} % more arithmetic." in page
    assert f"81 frames, takes {tiny:.1f} GiB in place of {one:.1f}." in page


def test_the_chapter_says_what_was_counted() -> None:
    from tests.book.test_notebooks import prose

    text = prose(ROOT / "book" / "18_flow_matching.ipynb")
    large = ROWS["preset 16gb", (17, 480, 832)]["peak_gib"]
    tiny = ROWS["preset 16gb, tiny decoder", (17, 480, 832)]["peak_gib"]
    assert f"24 GiB are not enough: {large:.1f} GiB for a single clip" in text
    long = ROWS["preset 16gb, tiny decoder", (81, 480, 832)]["peak_gib"]
    assert f"the same clip takes {tiny:.1f} GiB, and one of Wan's usual 81 frames {long:.1f} GiB" in text
    assert f"a short clip takes {SMALL['peak_gib']:.1f} GiB at 256 x 256, and {tiny:.1f} GiB at 480 x 832" in text
    assert f"tune at 480 x 832 with the tiny decoder, in {tiny:.1f} GiB" in text
    for frames, height, width in CLIPS:
        rows = {name: ROWS[f"preset {name}", (frames, height, width)] for name in ("16gb", *OTHERS)}
        small, *cells = [f"{row['peak_gib']:.1f}" for row in rows.values()]
        line = f"| {frames} frames, {height} x {width} | {small} | {' | '.join(cells)} | "
        assert line + f"{rows['16gb']['tflop'] / 1000:.1f} |" in text


def test_the_chapter_says_what_the_arithmetic_takes() -> None:
    from tests.book.test_notebooks import prose

    text = prose(ROOT / "book" / "18_flow_matching.ipynb")
    large = ROWS["preset 16gb, tiny decoder", (17, 480, 832)]
    assert round(large["tflop"] / SMALL["tflop"]) == 6
    assert f"six times as long for a step ({large['tflop'] / 1000:.1f} PFLOP)" in text
    seconds = SMALL["tflop"] / 165
    assert f"more than {int(seconds)} seconds for {SMALL['tflop'] / 1000:.1f} PFLOP, so at least" in text
    assert f"at least {int(200 * seconds / 60)} minutes for 200 steps" in text
    counted = json.loads((ROOT / "data" / "results" / "count_step.json").read_text(encoding="utf-8"))
    assert counted["cards"]["RTX 4090"]["tflops"] == 165
    cards = [card for row in counted["rows"] if row["name"].startswith("preset") for card in row["cards"].values()]
    ratios = [card["floor"] / card["compute"] for card in cards if "floor" in card]
    assert f"it raises the bound to {min(ratios):.1f} to {max(ratios):.1f} times the arithmetic alone" in text


def test_cogvideox_needs_a_larger_card_in_the_texts_too() -> None:
    from tests.book.test_notebooks import prose

    path = ROOT / "data" / "results" / "count_cogvideox.json"
    row = json.loads(path.read_text(encoding="utf-8"))["rows"][0]
    assert (row["name"], row["frames"], row["height"]) == ("preset 16gb", 17, 256)
    assert 16 < row["peak_gib"] < 24
    page = " ".join((ROOT / "book/benchmarks.md").read_text(encoding="utf-8").split())
    assert f"needs {row['peak_gib']:.1f} GiB, and its usual 49 frames" in page and "too much for 16 GiB" in page
    assert f"{row['peak_gib']:.1f} GiB" in prose(ROOT / "book" / "18_flow_matching.ipynb")


def test_the_page_shows_every_row_as_counted() -> None:
    from tests.book.test_benchmark_tables import PAGE, tables

    found = tables.counted_clip_lines(TABLE, CARDS)
    lines: list[Any] = [" ".join(line.split()) for line in found]  # some spaces never break
    assert lines[0].startswith("**Counted, not measured.**") and "```{benchmark} count_wan\n```" in PAGE
    for row in TABLE["rows"]:
        start = f"| {row['frames']} | {row['height']} x {row['width']} | {row['name']} | {row['precision']} | "
        assert sum(line.startswith(start) for line in lines) == 1


def test_a_card_has_the_time_of_the_arithmetic_or_the_reason_why_not() -> None:
    """1300 TFLOP at 65 a second; a T4 runs the preset's twin in fp16, whose settings are otherwise the same, but never
    two phases."""
    from tests.book.test_benchmark_tables import tables

    both = [{**presets.preset(f"16gb{twin}"), "precision": ""} for twin in ("", "-fp16")]
    assert both[0] == both[1]
    clip = {"frames": 17, "height": 256, "width": 256, "precision": "bf16", "clips": 1, "tflop": 1300.0}
    rows = [
        {**clip, "name": name, "peak_gib": gib}
        for name, gib in (
            ("preset 16gb, tiny decoder", 5.0),
            ("preset 16gb, two phases", 8.0),
            ("preset 80gb", 9.0),
            ("preset 16gb", 23.0),
        )
    ]
    cards = {"T4": CARDS["T4"], "H100": {**CARDS["H100"], "tflops": 1000}}
    found = [line.split(" | ")[-2:] for line in tables.counted_clip_lines({**TABLE, "rows": rows}, cards)[-5:-1]]
    assert found == [[t4, "1.3 s |"] for t4 in ("20.0 s", "no bf16", "no bf16", "too large")]
