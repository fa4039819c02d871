"""The shipped prompts and clips of the reduced world are those the code makes, and keep apart what must be apart."""

from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ivtutorial.data.clips import read_clips
from ivtutorial.data.prompts import Prompt, shipped_prompts
from ivtutorial.errors import InputError
from ivtutorial.lab.world import clip_set, facts as world
from ivtutorial.lab.world.clip_set import PER_SPECIES, ClipPlan, draw_clip, make_clips, plan_clips
from ivtutorial.lab.world.drawing.subjects import NEW_ANIMALS, SPECIES
from ivtutorial.lab.world.drawing.things import THINGS
from ivtutorial.lab.world.prompt_lists import COUNTS, make_prompts
from ivtutorial.system.files import data_path
from ivtutorial.video.reader import read_video

Lists = dict[str, list[Prompt]]
SPECIES_NAMES = {s.name for s in SPECIES}


@pytest.fixture(scope="module")
def plans() -> list[ClipPlan]:
    return list(plan_clips())


@pytest.fixture(scope="module")
def lists() -> Lists:
    return {name: shipped_prompts(name) for name in COUNTS}


def facts(prompt: Prompt) -> world.ClipFacts:
    return world.ClipFacts(**dict(prompt.facts or {}))


def content(one: world.ClipFacts) -> tuple[str, ...]:
    return one.subject, one.colour, one.scene, one.movement


# --- prompts --------------------------------------------------------------------------------------


def test_the_shipped_prompts_are_those_the_code_makes(lists: Lists) -> None:
    assert lists == make_prompts()


def test_counts_are_near_the_papers(lists: Lists) -> None:
    """The paper: about 6 for each of 45 species (263), 22 for new animals, 46 for what is no animal."""
    assert {name: len(prompts) for name, prompts in lists.items()} == {
        "in_domain": 270, "new_animals": 22, "things": 46, "unseen": 90, "demo": 64,
    }  # fmt: skip


def test_each_species_is_asked_for_in_every_action(lists: Lists) -> None:
    seen = Counter((facts(p).subject, facts(p).action) for p in lists["in_domain"])
    assert seen == Counter({(name, action): 1 for name in SPECIES_NAMES for action in world.ACTIONS})
    assert {facts(p).subject for p in lists["demo"]} == SPECIES_NAMES
    assert {p.text for p in lists["demo"]} <= {p.text for p in lists["in_domain"]}


def test_lists_ask_for_their_own_subjects(lists: Lists) -> None:
    assert {facts(p).subject for p in lists["new_animals"]} == set(NEW_ANIMALS)
    assert {facts(p).subject for p in lists["things"]} == {s.name for s in THINGS}
    assert {facts(p).subject for p in lists["unseen"]} == SPECIES_NAMES


def test_unseen_combinations_are_unseen_and_the_others_are_not(lists: Lists) -> None:
    for name, prompts in lists.items():
        held_out = {world.is_held_out(f.subject, f.colour, f.scene) for f in map(facts, prompts)}
        assert held_out == {name == "unseen"}, name


def test_nothing_asked_for_is_in_the_fine_tuning_set_or_asked_for_twice(lists: Lists, plans: list[ClipPlan]) -> None:
    shown = {content(plan.facts) for plan in plans}
    captions = {plan.caption for plan in plans}
    asked = [p for name, prompts in lists.items() if name != "demo" for p in prompts]
    assert len({content(facts(p)) for p in asked}) == len(asked)
    assert not shown & {content(facts(p)) for p in asked}
    assert not captions & {p.text for p in asked}


def test_prompts_say_subject_and_colour(lists: Lists) -> None:
    for prompt in lists["in_domain"] + lists["things"]:
        assert f"{facts(prompt).colour} {facts(prompt).subject}" in prompt.text


# --- clips ----------------------------------------------------------------------------------------


def test_the_shipped_clips_are_45_species_times_20(plans: list[ClipPlan]) -> None:
    folder = data_path("clips")
    clips = read_clips(folder)
    assert [(c.path.relative_to(folder).as_posix(), c.caption) for c in clips] == [(p.name, p.caption) for p in plans]
    assert Counter(p.facts.subject for p in plans) == Counter(dict.fromkeys(SPECIES_NAMES, PER_SPECIES))
    assert not any(world.is_held_out(p.facts.subject, p.facts.colour, p.facts.scene) for p in plans)
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 6e6


def test_shipped_files_show_what_the_code_draws(plans: list[ClipPlan]) -> None:
    """Coding costs some noise, never the picture: a PSNR above 24 dB, which another clip misses by far."""
    for plan in plans[:: len(plans) // 12]:
        frames = read_video(data_path("clips") / plan.name) / 255.0
        assert frames.shape == (16, 64, 64, 3)
        assert psnr(frames, draw_clip(plan)) > 24, plan.name
        assert psnr(frames, draw_clip(plans[(plans.index(plan) + 450) % 900])) < 20, plan.name


def test_every_fault_is_known_and_common(plans: list[ClipPlan]) -> None:
    """Each of 8 faults is in 30 to 45 % of the clips by design; 900 clips tell that to within 5 points."""
    rows = json.loads((data_path("clips") / "facts.json").read_text(encoding="utf-8"))
    assert [row["video"] for row in rows] == [plan.name for plan in plans]
    for name in ("blur", "wash", "tint", "noise", "blocks", "watermark", "flicker", "jitter"):
        assert 0.25 < np.mean([row["faults"][name] > 0 for row in rows]) < 0.5, name


def test_making_clips_again_gives_the_same_files(tmp_path: Path) -> None:
    made = [make_clips(tmp_path / name, 1, species=["ant", "fox"]) for name in ("a", "b")]
    assert [c.caption for c in made[0]] == [c.caption for c in made[1]]
    assert [c.path.read_bytes() for c in made[0]] == [c.path.read_bytes() for c in made[1]]
    with open(tmp_path / "a" / "captions.csv", encoding="utf-8") as file:
        assert [row["video"] for row in csv.DictReader(file)] == ["fox/00.mp4", "ant/00.mp4"]


def test_a_new_species_changes_no_clip_of_the_others(plans: list[ClipPlan], monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it stands in the list; its own clips have seeds of their own."""
    heron = replace(SPECIES[0], name="heron")
    monkeypatch.setattr(clip_set, "SPECIES", (*SPECIES[:30], heron, *SPECIES[30:]))
    more = list(plan_clips())
    assert [plan for plan in more if plan.facts.subject != "heron"] == plans
    herons = {plan.facts.seed for plan in more if plan.facts.subject == "heron"}
    assert len(herons) == PER_SPECIES and not herons & {plan.facts.seed for plan in plans}


def test_a_smaller_set_is_a_part_of_the_whole(plans: list[ClipPlan]) -> None:
    assert list(plan_clips(2, species=["wolf"])) == [p for p in plans if p.facts.subject == "wolf"][:2]


@pytest.mark.parametrize(("arguments", "message"), [({"per_species": 0}, "0"), ({"species": ["unicorn"]}, "unicorn")])
def test_impossible_sets_are_refused(arguments: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        make_clips(tmp_path, **arguments)  # type: ignore[arg-type]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(a - b).mean()))
