"""Figures that compute in the page: their numbers are those of the book's own functions."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from statistics import NormalDist

import pytest
import torch

import ivtutorial as iv
from ivtutorial import notebook

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium to compute in")


def shown(tmp_path: Path, figure: str, values: dict[int, float] | None = None) -> str:
    """The page after its sliders were moved: number of a slider -> value."""
    moves = "".join(
        f"k=document.querySelectorAll('input[type=range]')[{k}];k.value={value};k.dispatchEvent(new Event('input'));"
        for k, value in (values or {}).items()
    )
    file = tmp_path / "figure.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{figure}<script>let k;{moves}</script>", encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.parametrize("figure", [notebook.noise_circle, notebook.line_world])
def test_a_figure_needs_no_other_file_and_names_its_sliders(figure: Callable[[], str]):
    text = figure()
    assert not re.search(r"https?:|src=|@import|fetch\(", text)
    sliders = re.findall(r"<input type=\"range\"[^>]*>", text)
    assert sliders and all("aria-label=" in slider for slider in sliders)


@in_a_browser
def test_the_circle_states_the_numbers_worked_by_hand(tmp_path: Path):
    """Timestep 551 has a = 0.4613 and s = 0.8873; the step to 501 (a 0.5244, s 0.8515) turns by 4.2 degrees."""
    page = shown(tmp_path, notebook.noise_circle(), {0: 551})
    assert "a = 0.4613, s = 0.8873" in page
    kept = 0.4613 * 0.5244 + 0.8873 * 0.8515  # the cosine of the angle between the two states
    lever = 0.8873 * 0.5244 - 0.4613 * 0.8515  # its sine
    assert f"{kept:.3f} of zₜ is kept" in page and f"velocity counts {lever:.3f}" in page


def best_answer(guidance: float) -> Callable[[torch.Tensor, int], torch.Tensor]:
    """The mean of the noise given the state, for peaks at -1 and 1 of width 0.25, shares 1/2 or 1/5 and 4/5."""
    alpha_bar = iv.make_scheduler("epsilon").alphas_cumprod.double()
    peaks = torch.tensor([-1.0, 1.0], dtype=torch.float64)

    def noise(x: torch.Tensor, t: int, shares: list[float]) -> torch.Tensor:
        a, s = alpha_bar[t].sqrt(), (1 - alpha_bar[t]).sqrt()
        variance = (a * 0.25) ** 2 + s**2
        away = x[..., None] - a * peaks
        likely = torch.softmax(torch.tensor(shares).double().log() - away**2 / (2 * variance), dim=-1)
        return (likely * s * away / variance).sum(-1)

    def answer(x: torch.Tensor, t: int) -> torch.Tensor:
        without, asked = noise(x.double(), t, [0.5, 0.5]), noise(x.double(), t, [0.2, 0.8])
        return without + guidance * (asked - without)

    return answer


@in_a_browser
@pytest.mark.parametrize(("place", "D", "guidance"), [(5, 20, 1.0), (0, 2, 0.0), (8, 100, 4.0)])
def test_the_line_world_is_the_chain_of_the_book(tmp_path: Path, place: int, D: int, guidance: float):
    """Two hundred evenly spread noises through `iv.sample` with the best answer end where the page says."""
    start = torch.tensor([NormalDist().inv_cdf((k + 0.5) / 200) for k in range(200)], dtype=torch.float64)
    end = iv.sample(best_answer(guidance), start.view(1, 1, 1, 1, -1), iv.make_scheduler("epsilon"), D=D).flatten()
    right = end[end > 0]
    page = shown(tmp_path, notebook.line_world(), {0: place, 1: guidance, 2: 0})
    [(share, mean, spread)] = re.findall(
        r"(\d+) % end on the right.*?; those lie at ([\d.]+) and spread by ([\d.]+)", page
    )
    assert abs(int(share) - 100 * len(right) / 200) <= 1
    assert float(mean) == pytest.approx(float(right.mean()), abs=3e-3)
    assert float(spread) == pytest.approx(float(right.std(correction=0)), abs=3e-3)
