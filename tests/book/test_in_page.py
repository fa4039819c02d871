"""`ivtutorial.notebook.in_page`: what the page computes is what the formulas give here."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ivtutorial import notebook
from ivtutorial.errors import InputError
from ivtutorial.lab.world.annotators import Pair
from ivtutorial.lab.world.preference_quiz import pair_quiz

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
COUNT, WIDTH, STATES, MU, CLICKS = 4, 6, 5, 0.1, "XYYX"

draw = np.random.default_rng(0).normal
GAPS, START, GALLERY = draw(size=(COUNT, WIDTH)), draw(size=WIDTH), draw(size=(STATES, WIDTH))
PICTURES, LABELS = np.zeros((STATES, 4, 4, 3), np.float32), [f"state {k}" for k in range(STATES)]


def head_on(used: list[int]) -> Any:
    """The weights that minimise surprise and pull, found by an optimiser in all its numbers."""
    gaps, start = torch.tensor(GAPS), torch.tensor(START)
    sign = torch.tensor([1.0 if letter == "X" else -1.0 for letter in CLICKS]).double()
    theta = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([theta], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        surprise = torch.nn.functional.softplus(-sign[used] * (gaps[used] @ theta)).sum()
        value = surprise + MU / 2 * (theta - start).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return theta.detach().numpy()


def surprises(weights: list[Any]) -> float:
    """Mean of -log P(choice), choice k under the k-th weights."""
    sign = [1 if letter == "X" else -1 for letter in CLICKS]
    return float(np.mean([np.log1p(np.exp(-s * gap @ w)) for s, gap, w in zip(sign, GAPS, weights, strict=True)]))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to compute in")
def test_the_head_in_the_page_is_the_minimum(tmp_path: Path):
    """After four clicks and a move of the slider to 0.1: three mean surprises and the gallery's order."""
    pairs = [Pair("a fox", np.zeros((2, 4, 4, 3), np.float32), (0.0, 0.0), "both") for _ in range(COUNT)]
    body = pair_quiz(pairs) + notebook.choice_head(GAPS, START, GALLERY, PICTURES, LABELS, hold=1)
    clicks = f"for(const v of '{CLICKS}')[...document.querySelectorAll('[data-pair]')]"
    clicks += ".find(e=>e.style.display==='block').querySelector(`button[value=${v}]`).click();"
    clicks += "const s=document.querySelector('.choice-head input');s.value=2;s.dispatchEvent(new Event('input'))"
    file = tmp_path / "head.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{body}<script>{clicks}</script>", encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    page = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout
    [words] = re.findall(r"<output[^>]*>(4 of 4 choices[^<]*)", page)
    shown = [float(x) for x in re.findall(r"\d\.\d{3}", words)]
    everything = list(range(COUNT))
    head = head_on(everything)
    left = [head_on([k for k in everything if k != out]) for out in everything]
    assert shown == pytest.approx([surprises([START] * COUNT), surprises([head] * COUNT), surprises(left)], abs=6e-4)
    yours = page.split('data-order="yours"')[1]
    assert [int(k) for k in re.findall(r'data-k="(\d)"', yours)] == np.argsort(-GALLERY @ head).tolist()


def test_a_head_needs_no_other_file():
    page = notebook.choice_head(GAPS, START, GALLERY, PICTURES, LABELS)
    assert "http" not in page and "fetch(" not in page and page.count('src="data:') == STATES


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"start": START[1:]}, "do not fit"), ({"hold": 0.0}, "offers 10, 1"), ({"labels": []}, "fit")],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], words: str):
    given = {"gaps": GAPS, "start": START, "gallery": GALLERY, "pictures": PICTURES, "labels": LABELS} | changed
    with pytest.raises(InputError, match=words):
        notebook.choice_head(**given)


SIZES = notebook.StepSizes(weights=3.0, M=20.0, M_out=2.0, M_in=1.0, M_z=0.1, tflop=10.0, b=1.0, again=0.8)
CARDS = {"small": {"gib": 16, "tflops": 50}, "large": {"gib": 80, "tflops": 500}}


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to compute in")
@pytest.mark.parametrize(
    ("options", "words"),
    [  # by hand: GiB for the backward pass and in all; passes; passes * 10 / tflops of the card
        ({}, ["Does not fit", ": 23 GiB of 16", "21 passes", "at least 4.2 s"]),
        ({"recompute": "block"}, ["Fits", ": 6.0 GiB of 16", "and 3.0 for", "22 passes"]),
        ({"K": 20}, ["Does not fit", ": 403 GiB of 16", "40 passes"]),
        ({"K": 20, "recompute": "both", "guidance": "0.5", "clips": 2}, ["Fits", ": 8.0 GiB of 16", "152 passes"]),
        ({"K": 2, "recompute": "step", "card": "large, 80 GiB"}, ["Fits", ": 23 GiB of 80", "24 passes", "0.5 s"]),
    ],
)
def test_the_calculator_adds_up(tmp_path: Path, options: dict[str, Any], words: list[str]):
    body = notebook.step_calculator(SIZES, CARDS, {"D": 20, "K": 1, "clips": 1})
    moves = "".join(
        f"k=document.querySelector('[data-set={name}]');k.value='{value}';"
        "k.dispatchEvent(new Event('input',{bubbles:true}));"
        for name, value in options.items()
    )
    file = tmp_path / "calculator.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{body}<script>let k;{moves}</script>", encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()]
    page = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert [text for text in words if text not in page] == []


def test_a_calculator_starts_with_a_chain():
    with pytest.raises(InputError, match="1 <= K <= D"):
        notebook.step_calculator(SIZES, CARDS, {"D": 4, "K": 5, "clips": 1})
