"""Blind and balanced pairs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.study.pairs import QUESTIONS, ClipPair, Step, open_study, rater_name
from tests.lab.study.studies import folder, many


def test_pairs_are_the_clips_of_the_same_prompt_and_seed(tmp_path: Path) -> None:
    study = open_study(folder(tmp_path / "a", 2, (5, 3)), folder(tmp_path / "b", 2, (5, 3)))
    assert [(pair.index, pair.seed) for pair in study.pairs] == [(0, 3), (0, 5), (1, 3), (1, 5)]
    assert [pair.a.read_text() for pair in study.pairs[:2]] == ["a 0 3", "a 0 5"]
    assert study.pairs[3].b.read_text() == "b 1 5"


def test_half_of_the_pairs_have_a_on_the_left() -> None:
    """8 pairs: 4 and 4 for everybody. 7 pairs: 3 and 4, or 4 and 3. Each place has either side for some rater."""
    raters = [f"rater {k}" for k in range(20)]
    for count in (8, 7):
        orders = [many(count).steps(rater)[:: len(QUESTIONS)] for rater in raters]
        lefts = [[step.left for step in order] for order in orders]
        assert {left.count("X") for left in lefts} == ({4} if count == 8 else {3, 4})
        assert all({left[place] for left in lefts} == {"X", "Y"} for place in range(count))


def test_each_rater_has_an_order_of_their_own_that_does_not_change() -> None:
    study = many(10)
    ada, ben = study.steps("Ada"), study.steps("Ben")
    assert ada == study.steps("  Ada ") and ada != ben
    assert [s.key for s in ada] != [s.key for s in ben]
    assert sorted(s.key for s in ada) == sorted(s.key for s in ben) and len(ada) == 20
    assert all(one.pair == two.pair and one.left == two.left for one, two in zip(ada[::2], ada[1::2]))


def test_the_winner_by_hand() -> None:
    pair = ClipPair(0, "p", 0, Path("a"), Path("b"))
    for left, clips in (("X", ("a", "b")), ("Y", ("b", "a"))):
        step = Step(pair, left, "quality")  # type: ignore[arg-type]
        assert tuple(map(str, step.clips)) == clips
        other = "Y" if left == "X" else "X"
        assert [step.winner(c) for c in ("left", "tie", "right")] == [left, "tie", other]  # type: ignore[arg-type]


def test_some_of_the_pairs(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", 9), folder(tmp_path / "b", 9)
    some = open_study(a, b, count=4, seed=1)
    assert len(some.pairs) == 4 and some == open_study(a, b, count=4, seed=1)
    assert some.identity != open_study(a, b, count=4, seed=3).identity
    for count in (0, 10):
        with pytest.raises(InputError, match=f"{count} pairs wanted: the two folders share 9"):
            open_study(a, b, count=count)


def test_a_changed_clip_is_another_study(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a"), folder(tmp_path / "b")
    before = open_study(a, b).identity
    (b / "clips" / "0001-0.mp4").write_bytes(b"other")
    assert open_study(a, b).identity != before


def test_folders_that_make_no_study_are_refused(tmp_path: Path) -> None:
    a, fewer, noisy = folder(tmp_path / "a"), folder(tmp_path / "fewer", 2), folder(tmp_path / "noisy", seeds=(1,))
    with pytest.raises(InputError, match=r"only .*a has prompt 2 \('fox number 2'\) with seed 0"):
        open_study(a, fewer)
    with pytest.raises(InputError, match="do not hold the same prompts and seeds"):
        open_study(a, noisy)
    with pytest.raises(InputError, match="twice"):
        open_study(a, a)
    with pytest.raises(InputError, match="no readable evaluation"):
        open_study(a, tmp_path / "nothing")
    (fewer / "clips" / "0001-0.mp4").unlink()
    with pytest.raises(InputError, match="lacks .*0001-0.mp4"):
        open_study(fewer, a)
    rows = {"rows": [{"index": 0, "prompt": "p", "seed": 0, "clip": ""}]}
    (fewer / "evaluation.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match="written without clips"):
        open_study(a, fewer)


@pytest.mark.parametrize("name", ["", "   ", "x" * 41, "a\0b"])
def test_names_of_raters(name: str) -> None:
    with pytest.raises(InputError, match="as the name of a rater"):
        rater_name(name)
    assert rater_name(" Zoë  Q. ") == "Zoë Q."
