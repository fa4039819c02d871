"""The benchmarks measure what they say: the same values by dearer ways, tables that tell what was not measured."""

from __future__ import annotations

import importlib
import json
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.method.instructvideo import InstructVideo
from ivtutorial.models.memory import Memory
from ivtutorial.system.out_of_memory import explain_out_of_memory
from tests.tolerances import assert_close, roundings
from tests.toy import brightness, seeded, text_backbone, text_batch

ROOT = Path(__file__).resolve().parents[2]

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("measure", "bench_step"):
        sys.modules.pop(name, None)
    return importlib.import_module("bench_step")


def test_every_row_has_valid_settings_and_the_compared_ones_are_there(bench: Any) -> None:
    for row in bench.ROWS:
        try:
            bench.method_of(row)
            Memory(**row.memory)
        except InputError as error:
            pytest.fail(f"{row.name}: {error}")
    names = [row.name for row in bench.ROWS]
    assert len(set(names)) == len(names)
    assert {bench.BASE, bench.FULL_CHAIN, bench.DECODE_ALL, bench.AUTHORS} <= set(names)


def test_decoding_all_frames_first_gives_the_same_loss_and_gradient(bench: Any) -> None:
    """Why the comparison is fair: both orders compute the same number, one decodes 2 frames a clip, the other 8."""
    backbone, decoded = text_backbone(), []

    def decode(z: Tensor) -> Tensor:
        decoded.append(len(z))
        return z[:, :3].sigmoid()

    backbone.decode = decode  # type: ignore[method-assign]
    method, results = InstructVideo(tau=0.3, D=10, S=2, eta=0.5, offset_noise=0.1), []
    for loss_of in (bench.step_loss, bench.all_frames_loss):
        loss = loss_of(method, backbone, text_batch(), brightness, seeded(1))
        results.append((loss.detach(), torch.autograd.grad(loss, list(backbone.unet.parameters()))))
    assert_close(results[0], results[1], n=roundings(backbone.unet, passes=9))
    assert decoded == [2 * 2, 2 * 8]


@pytest.mark.parametrize("explained", [False, True])
def test_running_out_of_memory_is_a_result(bench: Any, explained: bool) -> None:
    """Also where the package has turned it into advice, as `fitted` does."""
    measure = importlib.import_module("measure")
    sent: list[Any] = []

    def too_much() -> None:
        with explain_out_of_memory() if explained else nullcontext():
            raise torch.OutOfMemoryError("CUDA out of memory.")

    measure._answer(SimpleNamespace(send=sent.append), too_much, ())
    measure._answer(SimpleNamespace(send=sent.append), bench.comparisons, (None,))
    assert sent[0] == {"out_of_memory": True} and "TypeError" in sent[1]["failed"]


def test_comparisons_are_ratios_of_rows_that_were_measured(bench: Any) -> None:
    rows = [
        {"name": bench.BASE, "seconds": 3.0, "step_mb": 50.0},
        {"name": bench.FULL_CHAIN, "seconds": 4.0, "step_mb": 50.0},
        {"name": bench.AUTHORS, "out_of_memory": True},
    ]
    result = bench.comparisons(rows)
    assert list(result.values()) == [0.75] and "full chain" in next(iter(result))


def test_a_table_that_was_never_measured_stays_visibly_empty(bench: Any, tmp_path: Path) -> None:
    measure, out = importlib.import_module("measure"), tmp_path / "bench.json"
    measure.save_table(out, "cpu", {"rows": [{"name": "base", "seconds": 1.5}]}, seed=7)
    tables = json.loads(out.read_text())
    assert tables["gpu"] is None and {"seed", "date", "hardware", "versions", "commit"} <= tables["cpu"].keys()
    assert "load_at_start" in tables["cpu"]
    shown = measure.show_tables(out, {"name": "setting", "seconds": "s"})
    assert "| base | 1.5 |" in shown and shown.index("### GPU") < shown.index("Not measured yet.")
    measure.save_table(out, "cuda", {"rows": [{"name": "base", "out_of_memory": True}]}, seed=7)
    assert json.loads(out.read_text())["cpu"] == tables["cpu"]
    assert "| base | - |" in measure.show_tables(out, {"name": "setting", "seconds": "s"})


def test_random_models_of_full_size_have_the_real_shapes(bench: Any) -> None:
    """1,411,233,860 weights in the UNet, and CLIP's own tokens."""
    full_size = importlib.import_module("full_size")
    backbone = full_size.random_backbone(1, 0, "meta")
    assert sum(p.numel() for p in backbone.unet.parameters()) == 1_411_233_860
    import open_clip

    texts = ["a red fox, running!", "zebras & lions"]
    ours = backbone.tokenizer(texts, padding="max_length", max_length=77).input_ids
    for ids, expected in zip(ours, open_clip.SimpleTokenizer()(texts).tolist()):
        length = expected.index(49407) + 1
        assert ids[:length] == expected[:length]


def test_what_the_page_says_of_bf16_is_what_was_measured() -> None:
    changes = json.loads((ROOT / "data" / "results" / "precision.json").read_text(encoding="utf-8"))["changes"]
    bf16, rounding = changes["bf16"], changes["fp32, batches of 3"]
    page = " ".join((ROOT / "book" / "benchmarks.md").read_text(encoding="utf-8").split())
    for name, form in (("reward", "+.5f"), ("utility", "+.4f")):
        mean, low, high = (f"{bf16[name][key]:{form}}" for key in ("mean", "low", "high"))
        size = "less than 0.00001" if abs(bf16[name]["mean"]) < 1e-5 else mean
        assert f"moves by {size} (" in page and f"{low} to {high})" in page
        assert bf16[name]["low"] < 0 < bf16[name]["high"], "as small as chance"
    assert all(bf16[name]["mean"] == 0 for name in ("subject", "colour", "scene", "movement"))
    assert all(abs(rounding[name]["mean"]) < 1e-5 for name in ("reward", "subject", "utility"))
