"""The reduced world: every clip is determined by its facts, captions say what is shown, faults do what they claim."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ivtutorial.errors import InputError
from ivtutorial.lab.reduced_models import reward as train_reward
from ivtutorial.lab.world import annotators, captions, facts as world, samples as frames, web_faults as web
from ivtutorial.lab.world.drawing import scenes
from ivtutorial.lab.world.drawing.pen import Pen, Placement, union
from ivtutorial.lab.world.drawing.subject import COLOURS, Palette, Pose
from ivtutorial.lab.world.drawing.subjects import ALL, NEW_ANIMALS, SPECIES, UNSEEN, subject
from ivtutorial.lab.world.drawing.things import THINGS
from tests.tolerances import assert_close

PAPER_SPECIES = """
    cat dog horse monkey rabbit zebra spider bird sheep deer cow goat lion tiger bear raccoon fox wolf lizard beetle ant
    butterfly fish shark whale dolphin squirrel mouse rat snake turtle frog chicken duck goose bee pig turkey fly llama
    camel bat gorilla hedgehog kangaroo
"""


def blank(count: int = 1, size: int = 32) -> np.ndarray:
    return np.zeros((count, size, size, 3), np.float32)


def test_species_are_those_of_the_paper() -> None:
    """Supplement C: 45 species to learn from and 6 unseen ones; at least 12 things that are not animals."""
    assert sorted(s.name for s in SPECIES) == sorted(PAPER_SPECIES.split())
    assert {s.name for s in UNSEEN} == set(NEW_ANIMALS) and len(UNSEEN) == 6
    assert len(THINGS) >= 12 and len({s.name for s in ALL}) == len(ALL)


@pytest.mark.parametrize("name", ["circle", "capsule", "ellipse", "polygon"])
def test_a_shape_covers_its_area(name: str) -> None:
    """Coverage sums to the area: pi r^2 (disc); 2 r l + pi r^2 (capsule); pi a b (ellipse); a^2 (square)."""
    pen = Pen(blank(), Placement(x=16, y=16, scale=1.0, pivot=0.0))
    white = (1.0, 1.0, 1.0)
    painted, area = {
        "circle": lambda: (pen.circle(0.3, 0.2, 4, white), math.pi * 16),
        "capsule": lambda: (pen.capsule(-4, 0.4, 4, 0.4, 3, white), 2 * 3 * 8 + math.pi * 9),
        "ellipse": lambda: (pen.ellipse(0, 0, 8, 5, white, angle=0.5), math.pi * 40),
        "polygon": lambda: (pen.polygon([(-5, -5), (5, -5), (5, 5), (-5, 5)], white), 100.0),
    }[name]()
    assert painted.alpha.sum() == pytest.approx(area, rel=0.04)


def test_facing_left_mirrors_the_picture() -> None:
    """Facing is a reflection about the subject's own axis, tilt included."""
    right, left = blank(), blank()
    for picture, facing in ((right, 1.0), (left, -1.0)):
        pen = Pen(picture, Placement(x=16, y=28, scale=10, facing=facing, tilt=0.3))
        subject("fox").draw(pen, at_rest(1), Palette.of("red"))
    assert np.abs(right - left[:, :, ::-1]).max() < 1e-4


def test_inside_confines_a_pattern() -> None:
    """A stripe drawn inside a disc paints nothing outside it."""
    picture = blank()
    pen = Pen(picture, Placement(x=16, y=16, scale=1, pivot=0.0))
    disc = pen.circle(0, 0, 6, (0.0, 0.0, 0.0))
    pen.capsule(-15, 0, 15, 0, 2, (1.0, 1.0, 1.0), inside=union(disc))
    ys, xs = np.mgrid[:32, :32] + 0.5
    outside = np.hypot(xs - 16, ys - 16) > 7
    assert picture[0][outside].max() == 0.0 and picture[0].max() > 0.9


def at_rest(count: int) -> Pose:
    zero = np.zeros(count, np.float32)
    return Pose(zero, zero, zero, zero)


@pytest.mark.parametrize("one", ALL, ids=lambda s: s.name)
def test_every_subject_is_seen_moves_and_shows_its_colour(one) -> None:
    """Running right moves it right; the colour its caption names is the most common of the palette on it."""
    facts = world.ClipFacts(one.name, one.colours[0], "meadow", "run", "right", 5)
    clip = world.render(facts, one)
    assert clip.shape == (16, 64, 64, 3) and clip.dtype == np.float32 and clip.min() >= 0 and clip.max() <= 1
    empty = blank(2, 64)
    pen = Pen(empty, Placement(x=32, y=56, scale=24 * one.size))
    one.draw(pen, at_rest(2), Palette.of(one.colours[1]))
    painted = (np.abs(empty[0]).sum(-1) > 0.02).mean()
    assert painted > 0.06, "it fills too little of the picture to be recognised"
    other = blank(2, 64)
    one.draw(Pen(other, Placement(x=32, y=56, scale=24 * one.size)), at_rest(2), Palette.of(one.colours[2]))
    assert np.abs(empty - other).sum(-1)[0][np.abs(empty[0]).sum(-1) > 0.02].mean() > 0.1, (
        "the colour word changes nothing"
    )
    still = np.array_equal(empty[0], empty[1])
    assert still, "it moves although its pose does not"


def test_a_clip_is_determined_by_its_facts_and_a_frame_by_its_number() -> None:
    facts = world.draw_facts(np.random.default_rng(3), ALL)
    one = subject(facts.subject)
    clip = world.render(facts, one)
    assert np.array_equal(clip, world.render(facts, one))
    assert_close(clip[[4, 9]], world.render(facts, one, frames=[4, 9]))


@pytest.mark.parametrize("facing, sign", [("left", -1), ("right", 1)])
def test_directed_actions_travel(facing: str, sign: int) -> None:
    """The centre of what is red moves the way the caption says, in a run further than in a walk."""
    moved = {}
    for action in ("walk", "run"):
        facts = world.ClipFacts("horse", "red", "snow", action, facing, 11)
        clip = world.render(facts, subject("horse"))
        red = np.clip(clip[..., 0] - clip[..., 1] - 0.3, 0, 1)
        centre = (red * np.arange(64)).sum((1, 2)) / red.sum((1, 2))
        moved[action] = (centre[12] - centre[3]) * sign
    assert 4 < moved["walk"] < moved["run"]


def test_held_out_combinations_are_about_one_in_eight_and_never_drawn_for_training() -> None:
    rng = np.random.default_rng(0)
    drawn = [world.draw_facts(rng, ALL) for _ in range(500)]
    assert not any(world.is_held_out(f.subject, f.colour, f.scene) for f in drawn)
    every = [(s.name, c, p) for s in ALL for c in s.colours for p in scenes.SCENES]
    assert np.mean([world.is_held_out(*e) for e in every]) == pytest.approx(32 / 256, abs=0.03)
    assert all(
        world.is_held_out(f.subject, f.colour, f.scene) for f in (world.draw_facts(rng, ALL, True) for _ in range(20))
    )


def test_unknown_subject_is_named() -> None:
    with pytest.raises(InputError, match="unknown subject 'unicorn'; the zoo knows: .*zebra"):
        world.draw_facts(np.random.default_rng(0), ALL, subject="unicorn")
    with pytest.raises(InputError, match="unicorn"):
        subject("unicorn")


def test_captions_say_the_facts() -> None:
    """Each full caption holds the subject, the colour, a wording of the action, of the direction and of the place."""
    rng = np.random.default_rng(1)
    for i in range(300):
        facts = world.draw_facts(rng, ALL)
        one = subject(facts.subject)
        text = world.caption_of(facts, one, i)
        verbs = captions.VERBS[facts.action]
        assert facts.subject in text and facts.colour in text
        assert any(v in text for v in verbs.get(one.moves) or verbs["any"])
        assert any(p in text for p in captions.PLACES[facts.scene])
        assert facts.side is None or any(w in text for w in captions.SIDES[facts.side])
        assert " a a" not in text and "a orange" not in text.replace(
            "a orange", "a orange" if "an orange" not in text else ""
        )


def test_articles() -> None:
    assert captions.short("ant", "") == "an ant" and captions.short("fox", "orange") == "an orange fox"
    assert captions.short("ant", "red") == "a red ant"


def test_no_fault_changes_nothing_and_each_fault_does_what_it_says() -> None:
    facts = world.ClipFacts("cat", "orange", "beach", "rest", "right", 2)
    clean = world.render(facts, subject("cat"))
    assert np.array_equal(web.degrade(clean, web.WebFaults()), clean)
    one = {k: web.degrade(clean, replace(web.WebFaults(seed=1), **{k: v})) for k, v in web.STRONGEST.items()}
    gradient = lambda x: np.abs(np.diff(x.mean(-1), axis=2)).mean()  # noqa: E731
    assert gradient(one["blur"]) < 0.8 * gradient(clean)
    assert one["wash"].std() < 0.8 * clean.std()
    shift = (one["tint"] - clean).mean((0, 1, 2))
    assert shift.max() - shift.min() > 0.02
    assert np.std(one["noise"] - clean) == pytest.approx(web.STRONGEST["noise"], rel=0.2)
    top, bottom, left, right = web.watermark_box(64, 64)
    inside = np.zeros((64, 64), bool)
    inside[top:bottom, left:right] = True
    changed = np.abs(one["watermark"] - clean).max((0, 3)) > 1e-6
    assert changed[inside].any() and not changed[~inside].any()
    assert one["flicker"].mean((1, 2, 3)).std() > 5 * clean.mean((1, 2, 3)).std()
    assert np.abs(np.diff(one["jitter"], axis=0)).mean() > np.abs(np.diff(clean, axis=0)).mean()
    assert all(not np.array_equal(v, clean) for v in one.values())


def test_taste_prefers_clean_and_right_and_is_undecided_between_equals() -> None:
    """By hand: clean and right 3.0; the watermark at full strength costs 4 * 0.30; a wrong scene costs 3 * 0.3."""
    asked = world.ClipFacts("cat", "orange", "beach", "rest", "right", 2)
    clean, marked = web.WebFaults(), web.WebFaults(watermark=web.STRONGEST["watermark"])
    assert annotators.utility(asked, asked, clean) == pytest.approx(3.0)
    assert annotators.utility(asked, asked, marked) == pytest.approx(1.8)
    assert annotators.utility(asked, replace(asked, scene="snow"), clean) == pytest.approx(2.1)
    assert annotators.preference((1.0, 1.0)) == 0.5
    assert annotators.preference((3.0, 1.8)) == pytest.approx(1 / (1 + math.exp(-1.2)))


def test_annotators_choose_with_bradley_terry_frequency() -> None:
    pair = annotators.Pair("x", np.zeros((2, 1, 1, 3), np.float32), (3.0, 1.8), "quality")
    rng = np.random.default_rng(0)
    share = np.mean([annotators.annotate(pair, rng) for _ in range(4000)])
    assert share == pytest.approx(1 / (1 + math.exp(-1.2)), abs=0.02)


def test_pairs_are_what_their_kind_says() -> None:
    rng = np.random.default_rng(0)
    for kind in ("quality", "content", "both"):
        pair = annotators.draw_pair(rng, kind)
        assert pair.frames.shape == (2, 64, 64, 3) and pair.kind == kind
    content = [annotators.draw_pair(rng, "content").utilities for _ in range(30)]
    assert {round(abs(a - b), 4) for a, b in content} <= {1.5, 0.9, 0.6}, "one fact wrong costs 3 times its weight"


def test_samples_repeat_with_their_seed() -> None:
    a, b = (frames.draw_sample(np.random.default_rng(7)) for _ in range(2))
    assert a.caption == b.caption and np.array_equal(a.frames, b.frames)
    stacked = frames.stack([a, b])
    assert stacked.shape == (2, 16, 3, 64, 64) and float(stacked.max()) <= 1.0


def test_look_alikes_differ_in_nothing_but_the_subject() -> None:
    """One scene, one colour, no subject twice: only what stands there tells their captions apart."""
    for seed in range(5):
        facts = [s.facts for s in frames.look_alikes(np.random.default_rng(seed), 12, web_share=0.6)]
        assert len({f.scene for f in facts}) == len({f.colour for f in facts}) == 1
        assert len({f.subject for f in facts}) == len(facts) > 3
        assert not any(world.is_held_out(f.subject, f.colour, f.scene) for f in facts)


def test_a_wrong_caption_is_wrong_in_one_fact() -> None:
    """The right one names subject and colour; of these two the wrong one keeps at least one."""
    rng = np.random.default_rng(0)
    samples = frames.single_frames(rng, 24, web_share=0.0)
    right, wrong = train_reward.right_and_wrong(samples, rng)
    kept = []
    for sample, good, bad in zip(samples, right, wrong, strict=True):
        named = (sample.facts.subject, sample.facts.colour)
        assert good != bad and all(fact in good for fact in named)
        kept.append(sum(fact in bad for fact in named))
    assert set(kept) == {1, 2}, "sometimes subject or colour is wrong, sometimes the scene"


def test_colours_are_told_apart() -> None:
    """No two colour words are closer than 0.25 in RGB."""
    values = np.array(list(COLOURS.values()))
    distance = np.linalg.norm(values[:, None] - values[None], axis=-1) + np.eye(len(values))
    assert distance.min() > 0.25
