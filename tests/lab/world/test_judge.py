"""The judge of the small world: what it adds to an evaluation's table."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
import torch

from ivtutorial.errors import InputError
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import ALL
from ivtutorial.lab.world.judge import FAULTS, Judge, JudgeNet

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
    assert list(columns) == [*READ, *FAULTS]
    assert all(columns[name][0] == 1 for name in READ) and all(len(values) == 2 for values in columns.values())
    assert list(judge.columns(clips)) == list(FAULTS)


def test_facts_of_something_else(judge: Judge) -> None:
    with pytest.raises(InputError, match="not those of a clip"):
        judge.columns(torch.rand(1, 16, 3, 64, 64), [{"animal": "fox"}])
