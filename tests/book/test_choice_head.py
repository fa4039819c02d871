"""`ivtutorial.notebook.in_page`: a head that is fitted in the page is the head that L-BFGS finds here."""

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
COUNT, WIDTH, STATES, MU, CLICKS = 4, 6, 5, 0.5, "ABBA"

draw = np.random.default_rng(0).normal
GAPS, START, GALLERY = draw(size=(COUNT, WIDTH)), draw(size=WIDTH), draw(size=(STATES, WIDTH))
PICTURES, LABELS = np.zeros((STATES, 4, 4, 3), np.float32), [f"state {k}" for k in range(STATES)]


def head_on(used: list[int]) -> Any:
    """The weights that minimise surprise and pull, found by an optimiser in all P numbers."""
    gaps, start = torch.tensor(GAPS), torch.tensor(START)
    sign = torch.tensor([1.0 if letter == "A" else -1.0 for letter in CLICKS]).double()
    omega = start.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([omega], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        surprise = torch.nn.functional.softplus(-sign[used] * (gaps[used] @ omega)).sum()
        value = surprise + MU / 2 * (omega - start).square().sum()
        value.backward()
        return value

    optimizer.step(loss)
    return omega.detach().numpy()


def surprises(weights: list[Any]) -> float:
    """Mean of -log P(choice), choice k under the k-th weights."""
    sign = [1 if letter == "A" else -1 for letter in CLICKS]
    return float(np.mean([np.log1p(np.exp(-s * gap @ w)) for s, gap, w in zip(sign, GAPS, weights, strict=True)]))


@pytest.mark.skipif(BROWSER is None, reason="no Chromium to compute in")
def test_the_head_in_the_page_is_the_minimum(tmp_path: Path):
    """After four clicks: three mean surprises and the gallery's order, as weights of full length give them."""
    pairs = [Pair("a fox", np.zeros((2, 4, 4, 3), np.float32), (0.0, 0.0), "both") for _ in range(COUNT)]
    body = pair_quiz(pairs) + notebook.choice_head(GAPS, START, GALLERY, PICTURES, LABELS, MU)
    clicks = f"for(const v of '{CLICKS}')[...document.querySelectorAll('[data-pair]')]"
    clicks += ".find(e=>e.style.display==='block').querySelector(`button[value=${v}]`).click()"
    file = tmp_path / "head.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{body}<script>{clicks}</script>", encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"]
    page = subprocess.run([*command, file.as_uri()], capture_output=True, text=True, timeout=120, check=True).stdout
    [words] = re.findall(r"<output>(4 of 4 choices[^<]*)", page)
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
    ("changed", "words"), [({"start": START[1:]}, "do not fit"), ({"mu": 0.0}, "take mu > 0"), ({"labels": []}, "fit")]
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], words: str):
    given = {"gaps": GAPS, "start": START, "gallery": GALLERY, "pictures": PICTURES, "labels": LABELS} | changed
    with pytest.raises(InputError, match=words):
        notebook.choice_head(**given)
