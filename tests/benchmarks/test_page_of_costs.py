"""What the page of costs concludes in words is what its tables hold."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = " ".join((ROOT / "book" / "benchmarks.md").read_text(encoding="utf-8").split())


def result(name: str) -> dict[str, Any]:
    return dict(json.loads((ROOT / "data" / "results" / f"{name}.json").read_text(encoding="utf-8")))


def by_name(name: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in result(name)["cpu"]["rows"]}


STEP = by_name("bench_step")
BASE = STEP["base: tau 0.6, D 20, K 1, S 4"]


def against_base(name: str, column: str) -> float:
    return float(STEP[name][column] / BASE[column])


def weights(path: Path) -> int:
    """Read from the head of a safetensors file."""
    with path.open("rb") as file:
        head = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return sum(math.prod(entry["shape"]) for name, entry in head.items() if name != "__metadata__")


def test_the_demo_and_its_steps() -> None:
    demo = result("demo")
    seconds = demo["seconds_per_step"]
    assert (demo["steps"], demo["config"]["clips_per_step"], demo["processes"]) == (24, 4, 2)
    assert (
        f"a step takes {seconds:.1f} s by the clock, all 24 steps {24 * seconds / 60:.1f} of the demo's ten minutes"
        in PAGE
    )
    gain = demo["utility"]["after"] - demo["utility"]["before"]
    assert f"the 24 steps of `make demo` move utility by {gain:+.2f} on today's model" in PAGE


def test_which_small_model_was_measured() -> None:
    today = sum(map(weights, (ROOT / "data" / "models" / "reduced").rglob("*.safetensors")))
    assert f"with an earlier, smaller model; today's, of the other tables, has {today / 1e6:.1f} million" in PAGE
    assert by_name("bench_load")["model fp32"]["parameters"] == today
    dates = {name: result(f"bench_{name}")["cpu"]["date"] for name in ("finetune", "load", "data", "unet")}
    assert result("bench_step")["cpu"]["date"] < min(dates.values())


def test_repetitions_of_a_row_are_up_to_a_tenth_apart() -> None:
    rows = [*STEP.values(), *by_name("bench_finetune").values()]
    shares = [row["spread"] / row["seconds"] for row in rows]
    assert 0.09 < max(shares) < 0.13
    unet = result("bench_unet")["cpu"]["rows"]
    widest = max((max(row["all_ms"]) - min(row["all_ms"])) / row["ms"] for row in unet)
    assert f"up to {widest:.0%}".replace("%", " %") + " of the median: smaller" in PAGE


@pytest.mark.parametrize(
    ("sentence", "holds"),
    [
        (f"a share of {16 / 28:.2f}, and takes {against_base('tau 0.3', 'seconds'):.2f} of the time; $D = 50$ has 64, "
         f"{64 / 28:.1f} times as many, and takes {against_base('D 50', 'seconds'):.1f} times as long",
         [2 * (early + 3 * late) for early, late in ((11, 1), (5, 1), (29, 1))] == [28, 16, 64]),
        (f"for *K 12* it gives {2 * 12 * 3 / 28:.1f} times the base, measured were "
         f"{against_base('K 12 (all steps)', 'seconds'):.1f}.", True),
        (f"so the count gives 0.5; the step took {against_base('guidance off', 'seconds'):.2f} (", True),
        (f"scoring all 16 takes {against_base('every frame scored', 'step_mb') - 1:.0%} more memory and "
         f"{against_base('every frame scored', 'seconds') - 1:.0%} more time", True),
        ("a gradient in all twelve steps needs nine times as much",
         round(against_base("K 12 (all steps)", "step_mb")) == 9),
        (f"$S = 8$ takes {against_base('S 8', 'step_mb') - 1:.0%} more memory, and hardly more time "
         f"({against_base('S 8', 'seconds') - 1:.0%}, which is within the scatter)", True),
        (f"{1 - against_base('UNet recomputed', 'step_mb'):.0%} less. At this size", True),
        (f"recomputing the reward saves nothing and the decoder "
         f"{1 - against_base('decoder recomputed, frame by frame', 'step_mb'):.0%}.",
         abs(against_base("reward recomputed", "step_mb") - 1) < 0.01),
        (f"not their time: it rose by {100 * (against_base('reward recomputed', 'seconds') - 1):.0f} to "
         f"{against_base('guidance in two passes', 'seconds') - 1:.0%}, far more",
         against_base("reward recomputed", "seconds") < against_base("UNet recomputed", "seconds")
         < against_base("guidance in two passes", "seconds")),
        (f"a fifth less memory than the authors' way, {STEP['UNet recomputed']['step_mb']:.0f} MiB against "
         f"{STEP['as the authors do it']['step_mb']:.0f}.", True),
        ("23% less memory than decoding all.",
         [round(100 * (1 - share)) for name, share in result("bench_step")["cpu"]["comparisons"].items()
          if "choosing before decoding" in name] == [15, 23]),
        ("PyTorch and other libraries take more than 700", by_name("bench_load")["import"]["peak_mb"] > 700),
    ],
)  # fmt: skip
def test_what_a_step_costs(sentence: str, holds: bool) -> None:
    assert holds and sentence.replace("%", " %") in PAGE


def test_precision_and_a_compiler() -> None:
    rows = by_name("bench_finetune")
    fp32, bf16, compiled = (rows[f"ours, {name}"] for name in ("fp32", "bf16", "bf16, compiled"))
    assert 1.8 < fp32["seconds"] / bf16["seconds"] < 2.2 and "bf16 halves the time of a step" in PAGE
    assert all(abs(bf16[name] / fp32[name] - 1) < 0.01 for name in ("loss", "grad_norm"))
    other = (ROOT / "book" / "troubleshooting.md").read_text(encoding="utf-8")
    assert f"about {bf16['seconds']:.0f} s of a core in bf16 and {fp32['seconds']:.0f} s in fp32" in other
    saved = bf16["seconds"] - compiled["seconds"]
    assert f"it saves {saved:.1f} s a step, so it pays after 70 to 150 steps" in PAGE
    assert 70 < 60 / saved < 120 / saved < 150
    unet = {(row["name"], row["work"], row["batch"]): row for row in result("bench_unet")["cpu"]["rows"]}
    wide, narrow, step = (unet[("ours, bf16", *of)]["relative"] for of in (("forward", 8), ("forward", 1), ("step", 4)))
    assert f"in bf16 are {wide:.1f} times as fast, with one clip {narrow:.1f} times" in PAGE
    assert f"With a gradient, and four clips, they are {step:.1f} times as fast" in PAGE
    assert f"for bf16 about {unet['ours, bf16', 'forward', 8]['difference']:.1%}".replace("%", " %") in PAGE


def test_full_size() -> None:
    counted = result("count_step")
    rows = {row["name"]: row for row in counted["rows"]}
    small, plain = rows["preset 8gb"], rows["nothing recomputed"]
    assert (
        f"below 12 GiB `8gb` (which needs {small['peak_gib']:.1f}), below 20 or without bf16 `t4`, below 38 `24gb`"
        in PAGE
    )
    more = f"{small['tflop'] / plain['tflop'] - 1:.0%}".replace("%", " %")
    assert f"needs {small['peak_gib']:.1f} GiB instead of {plain['peak_gib']:.1f} for {more} more arithmetic" in PAGE
    bounds = [bound for row in counted["rows"] for bound in row["cards"].values() if "floor" in bound]
    ratios = sorted(bound["floor"] / bound["compute"] for bound in bounds)
    assert f"the first number is {ratios[0]:.1f} to {ratios[-1]:.1f} times the second" in PAGE
    waiting = [100 * (1 - 1 / ratio) for ratio in (ratios[0], ratios[-1])]
    assert f"so {waiting[0]:.0f} to {waiting[1]:.0f} % of the first is waiting" in PAGE
