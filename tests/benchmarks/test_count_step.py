"""What is counted of a step at full size: by hand on small operations, and the book's sentences against the file."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.checkpoint import checkpoint

ROOT = Path(__file__).resolve().parents[2]
TABLE = json.loads((ROOT / "data" / "results" / "count_step.json").read_text(encoding="utf-8"))
ROWS = {row["name"]: row for row in TABLE["rows"]}


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module("count_step")


def test_a_product_of_matrices_by_hand(counter: Any) -> None:
    """(2, 3) times (3, 5): 2 * 2 * 3 * 5 FLOPs, 6 + 15 numbers read and 10 written; the transpose before it is free."""
    a, b = torch.empty(3, 2, device="meta"), torch.empty(3, 5, device="meta")
    with counter.Counting() as counting:
        kept = a.T @ b
    assert counting.count.operations == {(60, 4 * (6 + 15 + 10)): 1}
    assert counting.count.peak == kept.numel() * 4
    card = counter.Card(tflops=1e-12 * 30, gbytes=1e-9 * 31, gib=1)  # 30 FLOP and 31 bytes a second
    assert counting.count.seconds(card) == 4.0 and counting.count.seconds(card, move=False) == 2.0


@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_on_tokens_is_one_operation_and_its_views_are_free(counter: Any, bias: bool) -> None:
    """(2, 3, 4) times (4, 5) is (6, 4) times (4, 5): 2 * 6 * 4 * 5 FLOPs, 24 + 20 numbers read and 30 written."""
    layer = torch.nn.Linear(4, 5, bias=bias, device="meta")
    with counter.Counting() as counting, torch.no_grad():
        layer(torch.empty(2, 3, 4, device="meta"))
    assert counting.count.operations == {(240, 4 * (24 + 20 + 5 * bias + 30)): 1}


def test_memory_without_content_and_views_move_nothing(counter: Any) -> None:
    x = torch.empty(2, 3, 4, device="meta")
    with counter.Counting() as counting:
        for tensor in (torch.empty_like(x), x.new_empty(5), torch.empty_strided((2, 2), (2, 1), device="meta")):
            torch.ops.aten._unsafe_view(tensor, (-1,)).detach()
        torch.ops.aten.lift_fresh(torch.ops.aten._reshape_alias(x, (6, 4), (4, 1)).expand(2, 6, 4))
    assert not counting.count.operations


def test_only_what_an_operation_needs_is_read(counter: Any) -> None:
    """Of a square its number once, of a table the rows looked up, of a copy's target nothing, of numbers that are
    repeated each once."""
    x, table, row = torch.empty(10, device="meta"), torch.empty(100, 7, device="meta"), torch.empty(4, 1, device="meta")
    indices = torch.empty(2, dtype=torch.long, device="meta")
    with counter.Counting() as counting:
        x * x
        torch.nn.functional.embedding(indices, table)
        x.copy_(torch.ones_like(x))
        row.expand(4, 8) + 1
    moved = [4 * (10 + 10), 8 * 2 + 4 * (14 + 14), 4 * 10, 4 * (10 + 10), 4 * (4 + 32)]
    assert counting.count.operations == {(0, bytes_): moved.count(bytes_) for bytes_ in moved}


def test_a_frozen_convolution_goes_backward_without_its_input(counter: Any) -> None:
    """Of (1, 2, 6, 6) by 3 filters of (2, 3, 3): 48 numbers of the gradient and 54 of the weight in, 72 out."""
    layer = torch.nn.Conv2d(2, 3, 3, device="meta").requires_grad_(False)
    y = layer(torch.empty(1, 2, 6, 6, device="meta", requires_grad=True))
    with counter.Counting() as counting:
        y.backward(torch.empty_like(y))
    ((flops, bytes_),) = counting.count.operations
    assert bytes_ == 4 * (48 + 54 + 72) and flops == 2 * 48 * 2 * 9


def test_the_reward_is_counted_as_training_runs_it(counter: Any) -> None:
    """Its blocks work on sequence first, as those that `load_hpsv2` opens."""
    transformer = counter.models(torch.float16, 8)[1].model.visual.transformer
    assert not transformer.batch_first and not any(block.attn.batch_first for block in transformer.resblocks)


def test_tensors_that_are_gone_do_not_count_towards_the_peak(counter: Any) -> None:
    x = torch.empty(100, device="meta")
    with counter.Counting() as counting:
        for _ in range(5):
            x = x + 1
    assert counting.count.peak == 800, "the sum and what it is made of"


def test_what_is_recomputed_counts_twice(counter: Any) -> None:
    """Two layers, each a product forward and two backward; computed again, only what the second layer's input needs."""
    layer = torch.nn.Sequential(*(torch.nn.Linear(4, 4, bias=False, device="meta") for _ in range(2)))
    flops = []
    for again in (False, True):
        x = torch.empty(8, 4, device="meta", requires_grad=True)
        with counter.Counting() as counting:
            y = checkpoint(layer, x, use_reentrant=False) if again else layer(x)
            y.sum().backward()
        flops.append(counting.count.total()[0])
    assert flops == [6 * 256, 7 * 256]


def test_attention_is_one_operation_with_its_two_products(counter: Any) -> None:
    q, k, v = (torch.empty(2, 3, 16, 8, device="meta") for _ in range(3))
    with counter.Counting() as counting:
        output = counter.fused_attention(q, k, v)
    assert output.shape == q.shape
    assert counting.count.total()[0] == 2 * (2 * 2 * 3 * 16 * 16 * 8)


def test_a_step_is_as_many_passes_of_the_unet_as_the_method_says(counter: Any) -> None:
    """InstructVideo counts 2 (tau D - K + (3 + 1) K) = 30 passes with the UNet recomputed; decoder and reward are the
    rest, and a backward pass without gradients of weights is less than two."""
    backbone = counter.full_size.random_backbone(1, 0, "meta")
    z, embeds = torch.empty(1, 4, 16, 32, 32, device="meta"), torch.empty(1, 77, 1024, device="meta")
    with counter.Counting() as counting, torch.no_grad():
        backbone.predictor(embeds)(z, 500)
    one = counting.count.total()[0] / 1e12
    assert one == pytest.approx(4.85, rel=0.02), "the UNet of ModelScope, a clip"
    assert 28 < ROWS["preset t4"]["tflop"] / 8 / one < 32


def test_the_file_has_every_preset_and_card_and_says_where_it_is_from() -> None:
    from ivtutorial.training.presets import PRESETS

    for name, preset in PRESETS.items():
        row = ROWS[f"preset {name}"]
        assert (row["precision"], row["clips"]) == (preset["precision"], preset["batch_size"])
        assert row["cards"].keys() == TABLE["cards"].keys() == {"T4", "L4", "RTX 4090", "A100", "H100"}
        for bound in row["cards"].values():
            assert bound.get("reason") or 0 < bound["compute"] <= bound["floor"]
    assert {"date", "hardware", "versions", "commit", "seed"} <= TABLE.keys()
    assert ROWS["preset 8gb"]["peak_gib"] < 8 and ROWS["preset t4"]["peak_gib"] < 14, "the presets' goals"


def test_the_texts_say_what_was_counted() -> None:
    chapter = "".join(
        "".join(cell["source"]) for cell in json.loads((ROOT / "book" / "10_full_size.ipynb").read_text())["cells"]
    )
    pairs = {"T4": "t4", "L4": "24gb", "RTX 4090": "24gb", "A100": "a100", "H100": "h100"}
    for card, preset in pairs.items():
        row = ROWS[f"preset {preset}"]
        seconds = row["cards"][card]["floor"]
        shown = f"{card}, {TABLE['cards'][card]['gib']} GB" if card == "A100" else card  # there is one of 80 GB, too
        cells = [shown, f"`{preset}`", f"{row['peak_gib']:.1f} GiB", f"{seconds:.0f} s"]
        cells += [f"{200 * seconds / 3600:.1f} h", f"{20000 * seconds / 86400:.1f} days"]
        assert f"| {' | '.join(cells)} |" in chapter
    assert f"each at least {ROWS['preset t4']['cards']['T4']['floor']:.0f} s on a T4" in chapter
    small, large = (ROWS[f"preset {name}"] for name in ("t4", "h100"))
    orders = [f"{row['operations'] * row['passes']:,} with `{name}`" for name, row in (("t4", small), ("h100", large))]
    assert f"{orders[0]} and {orders[1]}, has to be started" in chapter
    starts = [row["operations"] * row["passes"] / 1e5 for row in (small, large)]  # s, at ten microseconds each
    beside = [f"a T4's {small['cards']['T4']['floor']:.0f}", f"an H100's {large['cards']['H100']['floor']:.1f}"]
    assert f"that is {starts[0]:.1f} s beside {beside[0]}, and {starts[1]:.1f} s beside {beside[1]}." in chapter
    assert f"{small['peak_gib']:.1f} GiB of its 15" in chapter
    assert small["tflop"] / 1.06 < large["tflop"] < small["tflop"], "what the large card recomputes costs little"
    assert f"| any of 8 GB | `8gb` | {ROWS['preset 8gb']['peak_gib']:.1f} GiB |" in chapter
    readme = " ".join((ROOT / "README.md").read_text(encoding="utf-8").split())
    t4, h100 = ROWS["preset t4"], ROWS["preset h100"]["cards"]["H100"]
    assert f"{t4['tflop']:,.0f} TFLOP, its tensors need {t4['peak_gib']:.1f} GiB with the preset `t4`" in readme
    assert f"{t4['cards']['T4']['floor']:.0f} s on a T4, and {h100['floor']:.1f} s on an H100" in readme


def test_a_clip_outside_training_is_counted_too_and_chapters_quote_it() -> None:
    """20 steps of two forward passes, of which a step of 8 clips has 8 times 28 to 32, and 16 decoded frames."""
    sampled, encoded = TABLE["clips"]
    forward = ROWS["preset t4"]["tflop"] / 8 / 30
    assert sampled["tflop"] == pytest.approx(2 * 20 * forward + 16 * 0.62, rel=0.05)
    assert encoded["tflop"] == pytest.approx(16 * 0.27, rel=0.05)
    seconds = {row["name"]: row["cards"]["T4"]["floor"] for row in TABLE["clips"]}
    chapter = (ROOT / "book" / "10_full_size.ipynb").read_text(encoding="utf-8")
    assert f"at least {seconds['a clip encoded']:.1f} s a clip" in chapter
    assert chapter.count(f"at least {seconds['a clip sampled']:.1f} s a clip") == 2
    for what, clips in (("eleven rounds of four clips", 44), ("64 clips", 64)):
        minutes = clips * seconds["a clip sampled"] / 60
        assert f"{what} take at least {minutes:.1f} minutes on a T4" in chapter
    page = " ".join((ROOT / "book" / "your_own_clips.md").read_text(encoding="utf-8").split())
    one, step = seconds["a clip sampled"], ROWS["preset t4"]["cards"]["T4"]["floor"]
    stated = f"at least {one:.1f} s on a T4 (counted), so 100 clips take at least {100 * one / 60:.0f} minutes"
    assert f"{stated}, and 900, as many as the paper has, at least {900 * one / 3600:.1f} hours" in page
    stated = f"on a T4 a step takes at least {step:.0f} s, so 200 steps at least {200 * step / 3600:.1f} hours"
    assert f"{stated}, more likely four to five; a step needs {ROWS['preset t4']['peak_gib']:.1f} GiB" in page


def test_the_page_shows_a_row_for_each_setting_and_a_column_for_each_card() -> None:
    from tests.book.test_benchmark_tables import PAGE, tables

    lines = tables.counted_lines(TABLE)
    assert lines[0].startswith("**Counted, not measured.**") and "```{benchmark} count_step\n```" in PAGE
    head = next(line for line in lines if line.startswith("| setting"))
    assert all(f"| {card} ({sheet['gib']}\u00a0GiB) " in head for card, sheet in TABLE["cards"].items())
    assert sum(line.startswith(("| preset", "| nothing", "| as the")) for line in lines) == len(ROWS)
    assert sum(line.startswith("| a clip") for line in lines) == len(TABLE["clips"])
    assert any("| no bf16 |" in line for line in lines)
