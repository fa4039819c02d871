"""The judge of the small world: what it adds to an evaluation's table."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.lab.world import annotators, facts as world, web_faults
from ivtutorial.lab.world.drawing.subjects import ALL
from ivtutorial.lab.world.judges.judge import FAULTS, Judge, JudgeNet

READ = ["subject", "colour", "scene", "movement", "action"]


@pytest.fixture(scope="module")
def judge() -> Judge:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Judge(JudgeNet())


def test_columns_are_what_it_reads_off_and_the_faults(judge: Judge) -> None:
    """Where the facts are what it reads, all five are right."""
    clips = torch.rand(2, 16, 3, 64, 64)
    read = judge(clips)
    drawn = asdict(world.draw_facts(np.random.default_rng(0), ALL))
    action, _, facing = read.movement[0].partition(" ")
    seen = {"subject": read.subject[0], "colour": read.colour[0], "scene": read.scene[0], "action": action}
    facts = [drawn | seen | ({"facing": facing} if facing else {}), drawn]
    columns = judge.columns(clips, facts)
    sure = [f"{name}_log_p" for name in READ if name != "action"]
    assert list(columns) == [*READ, *FAULTS, *sure, "utility"]
    assert all((columns[name] < 0).all() for name in sure)
    assert all(columns[name][0] == 1 for name in READ) and all(len(values) == 2 for values in columns.values())
    assert list(judge.columns(clips)) == list(FAULTS)


def test_facts_of_something_else(judge: Judge) -> None:
    with pytest.raises(InputError, match="not those of a clip"):
        judge.columns(torch.rand(1, 16, 3, 64, 64), [{"animal": "fox"}])


def test_utility_is_that_of_the_facts_where_everything_is_read_rightly() -> None:
    """What is read off a render with known faults has the annotators' own utility, but for block compression."""
    rng = np.random.default_rng(3)
    asked = [world.draw_facts(rng, ALL) for _ in range(40)]
    shown = [annotators.change_fact(facts, rng) if k % 2 else facts for k, facts in enumerate(asked)]
    faults = [replace(web_faults.draw_faults(rng), blocks=0.0) for _ in asked]
    names = ("subject", "colour", "scene")
    readings = {n: np.array([float(getattr(a, n) == getattr(b, n)) for a, b in zip(asked, shown)]) for n in names}
    readings |= {n: np.array([getattr(f, n) / web_faults.STRONGEST[n] for f in faults]) for n in FAULTS}
    true = [annotators.utility(*parts) for parts in zip(asked, shown, faults)]
    assert annotators.read_utility(readings) == pytest.approx(true)


def test_share_of_annotators() -> None:
    """Nothing changed is even odds; a perfect clip is all that can be won; the reverse comparison is the complement."""
    rng = np.random.default_rng(4)
    before, after = rng.normal(1, 1, 30), rng.normal(2, 0.3, 30)
    assert annotators.preferred(before, before) == pytest.approx(0.5)
    assert annotators.share_of_perfect(before, before) == pytest.approx(0)
    assert annotators.share_of_perfect(before, np.full(30, 3.0)) == pytest.approx(1)
    assert 0 < annotators.share_of_perfect(before, after) < 1
    assert annotators.preferred(before, after) + annotators.preferred(after, before) == pytest.approx(1)
