"""Two judges and the measure of artefacts: what their columns mean."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from ivtutorial.errors import InputError
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.drawing.subjects import ALL, subject
from ivtutorial.lab.world.judges.artefacts import LOOKED_AT, Artefacts, open_artefacts, reference_frames
from ivtutorial.lab.world.judges.features import FeatureNet
from ivtutorial.lab.world.judges.judge import Judge, JudgeNet
from ivtutorial.lab.world.judges.panel import Panel, open_panel
from ivtutorial.lab.world.judges.second import SecondNet


@pytest.fixture(scope="module")
def facts() -> world.ClipFacts:
    return world.draw_facts(np.random.default_rng(1), ALL)


def as_clip(facts: world.ClipFacts) -> Tensor:
    """(1, 16, 3, 64, 64)."""
    return torch.from_numpy(world.render(facts, subject(facts.subject))).permute(0, 3, 1, 2)[None]


@pytest.fixture(scope="module")
def shipped() -> Artefacts:
    return open_artefacts()


def test_a_clip_among_the_references_is_not_strange(shipped: Artefacts, facts: world.ClipFacts) -> None:
    known = reference_frames(facts)
    clip = torch.zeros(1, 16, 3, 64, 64)
    clip[0, list(LOOKED_AT)] = known[: len(LOOKED_AT)]
    # cdist rounds in float32: the square root of some 1e-7.
    assert float(shipped(clip, [asdict(facts)])) == pytest.approx(0, abs=2e-3)


def test_damage_is_strange_and_faults_of_the_world_are_not(shipped: Artefacts, facts: world.ClipFacts) -> None:
    """Fresh renders lie near others of the same facts, whatever their seed; a grid, or the facts of another, do not."""
    other = replace(facts, seed=12)
    clip, fields = as_clip(other), [asdict(facts)]
    grid = clip.clone()
    grid[..., 4:28:4, :] *= 0.6
    stranger = as_clip(next(f for f in (world.draw_facts(np.random.default_rng(k), ALL) for k in range(99))
                            if f.subject != facts.subject and f.scene != facts.scene))  # fmt: skip
    fresh = float(shipped(clip, fields))
    assert fresh < 0.6
    assert float(shipped(grid, fields)) > fresh + 0.1 and float(shipped(stranger, fields)) > fresh + 0.1


def test_two_judges_side_by_side(facts: world.ClipFacts) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        first, second = Judge(JudgeNet()), Judge(SecondNet())
    clips, fields = torch.rand(3, 16, 3, 64, 64), 3 * [asdict(facts)]
    alone, both = first.columns(clips, fields), Panel(first, second).columns(clips, fields)
    assert all(torch.equal(both[name], values) for name, values in alone.items())
    assert all(torch.equal(both[f"{name}_2"], values) for name, values in second.columns(clips, fields).items())
    assert (Panel(first, first).columns(clips, fields)["disagreement"] == 0).all()
    names = ("subject", "colour", "scene", "movement")
    a, b = first(clips), second(clips)
    for k in range(3):
        differ = [getattr(a, name)[k] != getattr(b, name)[k] for name in names]
        assert float(both["disagreement"][k]) == pytest.approx(sum(differ) / 4)


def test_a_second_judge_is_kept_and_opened(tmp_path: Path) -> None:
    judge = Judge(SecondNet())
    judge.save(tmp_path / "judge_2")
    Judge(JudgeNet()).save(tmp_path / "judge")
    FeatureNet().save(tmp_path / "features")
    clips = torch.rand(1, 16, 3, 64, 64)
    opened = open_panel(tmp_path)
    assert opened.second is not None and opened.artefacts is not None
    for name, values in opened.second.columns(clips).items():  # stored in half precision
        assert values == pytest.approx(judge.columns(clips)[name], abs=1e-2)


def test_no_features(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no features\.safetensors"):
        open_artefacts(tmp_path)
