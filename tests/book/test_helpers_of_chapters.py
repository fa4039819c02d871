"""`ivtutorial.notebook` and `ivtutorial.notebook.widgets`: what the chapters build on."""

from __future__ import annotations

import base64
import io
import json
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ivtutorial import notebook
from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.notebook import widgets
from ivtutorial.pages.embed import picture
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.presets import preset

# ---------------------------------------------------------------- memory that back-propagation keeps


def test_saved_bytes_by_hand():
    """exp keeps its result, x * y both factors: with 1000 floats of 4 bytes 4000 and 8000 bytes."""
    x, y = torch.ones(1000, requires_grad=True), torch.ones(1000, requires_grad=True)
    assert notebook.saved_bytes(lambda: x.exp()) == 4000
    assert notebook.saved_bytes(lambda: x * y) == 8000


def test_saved_bytes_counts_a_piece_of_memory_once_and_known_weights_never():
    """x * x keeps x twice; a linear layer keeps its input and its weight."""
    x = torch.ones(1000, requires_grad=True)
    assert notebook.saved_bytes(lambda: x * x) == 4000
    layer, batch = torch.nn.Linear(50, 50, bias=False), torch.ones(2, 50, requires_grad=True)
    assert notebook.saved_bytes(lambda: layer(batch), weights=layer.parameters()) == 2 * 50 * 4


def test_saved_bytes_is_zero_where_nothing_is_recorded():
    x = torch.ones(1000, requires_grad=True)

    def silent() -> torch.Tensor:
        with torch.no_grad():
            return x.exp()

    assert notebook.saved_bytes(silent) == 0


# ---------------------------------------------------------------- pictures


def test_frame_row_stand_from_left_to_right():
    """Frame f of a clip of 3 frames, 2 pixels high and 4 wide, has the grey value f / 10."""
    clip = (torch.arange(3.0) / 10).view(3, 1, 1, 1).expand(3, 3, 2, 4)
    strip = notebook.frame_row(clip)
    assert strip.shape == (2, 12, 3)
    np.testing.assert_allclose(strip[0, :, 0], np.repeat([0.0, 0.1, 0.2], 4), rtol=1e-6)


# ---------------------------------------------------------------- exercises

DOUBLE = (((3,), 6, "doubling 3 gives 6"), ((0.5,), 1.0, "doubling a half gives 1"))


def test_a_right_answer_names_every_law(capsys: pytest.CaptureFixture[str]):
    assert notebook.check(lambda x: 2 * x, *DOUBLE)
    assert capsys.readouterr().out.splitlines() == [f"Right: {law}." for _, _, law in DOUBLE]


@pytest.mark.parametrize("nothing", [None, ...])
def test_an_unwritten_answer_is_no_error(nothing: Any, capsys: pytest.CaptureFixture[str]):
    assert not notebook.check(lambda x: nothing, *DOUBLE)
    assert "Not written yet" in capsys.readouterr().out


def test_a_wrong_answer_says_which_law_it_breaks(capsys: pytest.CaptureFixture[str]):
    assert not notebook.check(lambda x: 6, *DOUBLE)
    said = capsys.readouterr().out
    assert "doubling a half gives 1" in said and "gives 6, expected 1.0" in said


def test_tensors_agree_in_shape_and_value_and_laws_may_be_functions():
    expected = torch.tensor([0.1, 0.2])
    assert notebook.check(lambda: expected + 1e-7, ((), expected, "close"))
    assert not notebook.check(lambda: expected[None], ((), expected, "shape"))
    assert not notebook.check(lambda: expected + 0.01, ((), expected, "far"))
    assert notebook.check(lambda: 7, ((), lambda found: found > 6, "large"))
    assert not notebook.check(lambda: 5, ((), lambda found: found > 6, "large"))


# ---------------------------------------------------------------- the scale


def test_an_unknown_scale_is_refused():
    with pytest.raises(InputError, match="'huge'.*'reduced' or 'modelscope'"):
        notebook.open_scale("huge")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_full_size_without_a_gpu_is_refused_before_anything_is_loaded():
    with pytest.raises(InputError, match="GPU"):
        notebook.open_scale("modelscope")


@pytest.mark.parametrize(("card", "chunk", "dtype"), [("t4", 1, torch.float16), ("a100", 16, torch.bfloat16)])
def test_at_full_size_a_chapter_saves_what_the_card_needs(
    monkeypatch: pytest.MonkeyPatch, fresh_backbone: Backbone, card: str, chunk: int, dtype: torch.dtype
) -> None:
    """The preset's precision and recomputing, switched on in the model itself: a chapter's cells stay as they are."""
    opened: list[Any] = []

    def open_model(name: str, dtypes: dict[str, torch.dtype], device: str) -> Backbone:
        opened.append((name, dtypes["unet"], device))
        return fresh_backbone

    monkeypatch.setattr("ivtutorial.notebook.scale.choose_device", lambda: torch.device("cuda"))
    monkeypatch.setattr("ivtutorial.training.presets.preset_here", lambda: card)
    monkeypatch.setattr("ivtutorial.models.named.open_model", open_model)
    monkeypatch.setattr("ivtutorial.rewards.named.open_reward", lambda *arguments: opened.append(arguments))
    scale = notebook.open_scale("modelscope")
    assert opened == [("modelscope", dtype, "cuda"), ("hpsv2", "cuda", dtype)]
    assert scale.backbone.unet.gradient_checkpointing and scale.backbone.memory.decode_chunk == chunk
    assert (
        scale.backbone.memory.recompute_decode == preset(card)["memory"].get("recompute_decode", False)
        and not scale.backbone.memory.offload_text
    )
    chosen = FinetuneConfig(**scale.settings)
    wanted = FinetuneConfig.from_dict({**preset(card), "batch_size": 2, "accumulation": 1})
    assert scale.preset == card and chosen == wanted, "a run gets all but the number of clips, which a chapter chooses"


def test_runs_of_the_small_models_have_the_default_settings():
    small: Any = notebook.Scale("reduced", *[None] * 3, "cpu")
    assert small.settings == {}


def test_the_cost_of_a_chapter_names_scale_time_and_memory(capsys: pytest.CaptureFixture[str]):
    scale: Any = SimpleNamespace(name="reduced", device="cpu")
    notebook.print_cost(scale)
    said = capsys.readouterr().out
    assert "scale reduced" in said and "s of processor time" in said


# ---------------------------------------------------------------- HTML


class Elements(HTMLParser):
    """All start tags with their attributes, and all text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def of(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.found if name == tag]


def test_a_picture_holds_itself_and_its_words():
    red = Image.new("RGB", (8, 4), (200, 30, 30))
    [image] = Elements(picture(red, 'a "red" <box>')).of("img")
    assert image["alt"] == 'a "red" <box>' and "max-width:100%" in image["style"]
    data = base64.b64decode(image["src"].removeprefix("data:image/webp;base64,"))
    assert Image.open(io.BytesIO(data)).size == (8, 4)
    with pytest.raises(InputError, match="words"):
        picture(red, " ")


def test_a_row_of_clips_labels_each_for_eye_and_ear():
    clips = np.zeros((2, 4, 8, 8, 3), np.uint8)
    page = Elements(widgets.clip_row(clips, ["before", "after <b>"]))
    films = [div for div in page.of("div") if div.get("class") == "film"]
    assert [film["aria-label"] for film in films] == ["before", "after <b>"]
    assert page.texts[:2] == ["before", "after <b>"] and len(page.of("figcaption")) == 2
    for labels in (["before"], []):
        with pytest.raises(InputError, match=f"{len(labels)} labels for 2 clips"):
            widgets.clip_row(clips, labels)


@pytest.mark.parametrize(("clips", "columns"), [(3, 3), (4, 4), (6, 3), (8, 4), (9, 3)])
def test_rows_of_clips_are_equally_long_where_they_can_be(clips: int, columns: int):
    page = Elements(widgets.clip_row(np.zeros((clips, 1, 8, 8, 3), np.uint8), [str(k) for k in range(clips)]))
    [row] = [div for div in page.of("div") if div.get("class") == "films"]
    assert row["style"] == f"--columns:{columns}"


def strip_pixels(text: str) -> list[Any]:
    """The pictures of a strip, RGBA."""
    data = [image["src"].removeprefix("data:image/webp;base64,") for image in Elements(text).of("img")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGBA")) for one in data]


def test_a_film_strip_shows_the_chosen_frames_of_each_clip_as_they_are():
    """Frame f of a clip of 16 frames has the grey value 10 f; four frames of 16 are 0, 5, 10 and 15."""
    clip = np.arange(16, dtype=np.uint8).reshape(16, 1, 1, 1) * 10 * np.ones((16, 2, 4, 3), np.uint8)
    text = widgets.film_strip([clip, 255 - clip], ["up", "down"])
    first, second = strip_pixels(text)
    starts = [k * (4 + widgets.GAP) for k in range(4)]
    assert [int(first[0, x, 0]) for x in starts] == [0, 50, 100, 150]
    assert [int(second[0, x, 0]) for x in starts] == [255, 205, 155, 105]
    assert [int(first[0, x + 4, 3]) for x in starts[:3]] == [0, 0, 0], "gaps show the page"
    assert Elements(text).texts[:6] == ["frame 0", "5", "10", "15", "up", "down"]


def test_a_film_strip_that_cannot_be_shown_is_refused():
    clip = np.zeros((4, 8, 8, 3), np.uint8)
    with pytest.raises(InputError, match="0 labels for 1 clips"):
        widgets.film_strip([clip], [])
    for frames in ([0, 4], [], [-1]):
        with pytest.raises(InputError, match="cannot be shown"):
            widgets.film_strip([clip], ["a"], frames)
    with pytest.raises(InputError, match="cannot be shown"):
        widgets.film_strip([clip, clip[:3]], ["a", "b"])
    with pytest.raises(InputError, match="1 titles for 4 frames"):
        widgets.film_strip([clip], ["a"], titles=["seed 0"])


def test_clips_of_all_positions_of_a_stepper_share_one_clock():
    clips = np.zeros((1, 4, 8, 8, 3), np.uint8)
    text = widgets.stepper([widgets.clip_row(clips, ["x"]), widgets.clip_row(clips, ["y"])], ["1", "2"], "Step:")
    outer = Elements(text).found[3:]
    assert [name for name, attributes in outer if attributes.get("class") == "reel"] == ["div"] * 3
    assert text.count("<style>") == text.count("<script>") == 1


def test_a_stepper_shows_one_panel_and_knows_all_labels():
    page = Elements(widgets.stepper(["<p>a</p>", "<p>b</p>", "<p>c</p>"], ["0.2", '"', "<1>"], "Level:", start=1))
    panels = [attributes for attributes in page.of("div") if "data-panel" in attributes]
    assert [panel["style"] for panel in panels] == ["display:none", "display:block", "display:none"]
    [slider] = page.of("input")
    assert (slider["type"], slider["min"], slider["max"], slider["value"]) == ("range", "0", "2", "1")
    assert json.loads(slider["data-labels"]) == ["0.2", '"', "<1>"] and slider["aria-valuetext"] == '"'
    assert page.texts[:2] == ["Level: ", '"'] and page.texts[2:] == ["a", "b", "c"]


def test_a_stepper_needs_no_other_file():
    text = widgets.stepper(["a", "b"], ["1", "2"], "Step:")
    assert "src=" not in text and "<script" not in text and "http" not in text


@pytest.mark.parametrize(("panels", "labels", "start"), [(1, 1, 0), (2, 3, 0), (2, 2, 2), (2, 2, -1)])
def test_a_stepper_that_cannot_step_is_refused(panels: int, labels: int, start: int):
    with pytest.raises(InputError, match="at least two panels"):
        widgets.stepper(["x"] * panels, ["y"] * labels, "z", start)
