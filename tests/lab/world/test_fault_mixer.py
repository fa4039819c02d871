"""The faults that a page mixes are those of `web_faults.degrade`, and so is what the annotators make of them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from ivtutorial.lab.world import posters
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.lab.world.facts import render
from ivtutorial.lab.world.fault_mixer import SEED, fault_mixer
from ivtutorial.lab.world.web_faults import STRONGEST, WebFaults, degrade
from ivtutorial.video.writer import to_uint8

BROWSER = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
MIXES: dict[str, dict[str, float]] = {
    **{name: {name: top} for name, top in STRONGEST.items()},
    "all but blocks": {name: 0.7 * top for name, top in STRONGEST.items() if name != "blocks"},
}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The mixer after it was asked for frame 5 of every mix; the last line holds them, as numbers from 0 to 255."""
    mixes = json.dumps([{**dict.fromkeys(STRONGEST, 0.0), **mix} for mix in MIXES.values()])
    script = (
        f"const box = document.querySelector('.fault-mixer'), mixes = {mixes};"
        "const rows = mixes.map(mix => [...box.mixed(5, mix)].map(x => Math.round(255 * x)));"
        "document.body.insertAdjacentHTML('beforeend', `<pre>${JSON.stringify(rows)}</pre>`)"
    )
    file = tmp_path_factory.mktemp("mixer") / "page.html"
    file.write_text(f"<!doctype html><meta charset=utf-8>{fault_mixer()}<script>{script}</script>", encoding="utf-8")
    command = [str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom", file.as_uri()]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


in_a_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium to mix in")


@in_a_browser
@pytest.mark.parametrize("place", range(len(MIXES)), ids=list(MIXES))
def test_the_page_mixes_as_python_does(page: str, place: int):
    """Both start from bytes; the page keeps grain in steps of 1/30 deviation. Rounding of blocks may tip over."""
    shown = np.array(json.loads(re.findall(r"<pre>(\[\[.*?\]\])</pre>", page)[0])[place]).reshape(64, 64, 3)
    clean = to_uint8(render(posters.FOX, subject("fox"))).astype(np.float32) / 255
    faults = WebFaults(**list(MIXES.values())[place], seed=SEED)  # type: ignore[arg-type]
    difference = np.abs(shown - 255 * degrade(clean, faults)[5])
    assert np.quantile(difference, 0.99) < 1.5 and difference.mean() < 0.6


@in_a_browser
def test_the_first_mix_is_the_one_worked_out_by_hand(page: str):
    """Wash 0.25 and a watermark of 0.48: q = 0.10 + 0.24, u = 1.64, and 39 of 100 prefer it to 2.10."""
    assert "q = 0.34, utility u = 3 − 4q = 1.64, against 2.10 of Y: 39 of 100" in page


def test_posters_show_everything_and_say_it_in_words():
    assert len(re.findall(r"<img alt=\"a ", posters.zoo_poster())) == len(ALL) == 65
    assert posters.scene_poster().count("<img alt=") == 8
    held = posters.held_out_grid()
    assert held.count("<img alt=") == 32 and held.count("held out</b>") == held.count(': held out"')
    assert 'alt="grey, snow: held out"' in held
    assert posters.fault_row().count('class="film"') == 9 and posters.movement_row().count('class="film"') == 6


def test_the_poster_frames_what_fine_tuning_never_sees():
    poster = posters.zoo_poster()
    assert [poster.count(f'class="zoo {kind}"') for kind in ("", "new", "thing")] == [45, 6, 14]
    assert poster.count(', new animal"') == 6 and poster.count(', thing"') == 14


def test_samples_stand_below_drawings_of_their_prompts():
    """Four of each; what the judge reads below a sample begins with its colour and subject, which are right."""
    drawings, samples = np.split(np.array(re.findall(r"<figcaption>(.*?)</figcaption>", posters.base_samples())), 2)
    assert len(drawings) == len(samples) == 4
    for drawing, sample in zip(drawings, samples, strict=True):
        read = re.fullmatch(r"sample; read: (\w+ \w+), \w+, [\w ]+; watermark [01]\.\d\d", sample)
        assert read and drawing.startswith("drawing: ") and f" {read[1]} " in drawing
