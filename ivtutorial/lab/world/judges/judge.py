"""The judge: what is really to be seen in a clip. It reads truth, never reward, and fine-tuning never sees it; only the
reward learnt in part from pairs of samples that two judges rank alike (`ivtutorial.lab.reduced_models.viewers.taste`).

A small network reads subject, colour, scene, movement and the strength of the visible faults. It learnt from renders of
both qualities, so that it reads a faulty clip as well as a clean one and a change of quality alone does not change what
it names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.lab.world.annotators import read_utility
from ivtutorial.lab.world.drawing.scenes import SCENES
from ivtutorial.lab.world.drawing.subject import COLOURS
from ivtutorial.lab.world.drawing.subjects import ALL
from ivtutorial.lab.world.facts import ACTIONS, DIRECTED, FRAMES, MOVEMENTS, ClipFacts
from ivtutorial.system.files import data_path

SUBJECT_NAMES = tuple(s.name for s in ALL)
COLOUR_NAMES = tuple(COLOURS)
FAULTS = ("blur", "wash", "tint", "noise", "watermark")
READINGS = ("subject", "colour", "scene", "movement", "action")
EVERY = 2  # it looks at every second frame: 8 of 16


class JudgeNet(nn.Module):
    """Frames -> logits of what is shown.

    A strided convolutional tower reads each frame; subject, colour, scene and faults are averaged over frames, while
    the movement is read from the sequence of spatial features.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        w = width
        self.tower = nn.Sequential(
            _block(3, w, 5), _block(w, 2 * w, 3), _block(2 * w, 4 * w, 3), _block(4 * w, 4 * w, 3)
        )  # 64 -> 4 pixels
        self.look = nn.Sequential(nn.Flatten(), nn.Linear(4 * w * 16, 256), nn.GELU())
        self.subject = nn.Linear(256, len(SUBJECT_NAMES))
        self.colour = nn.Linear(256, len(COLOUR_NAMES))
        self.scene = nn.Linear(256, len(SCENES))
        self.faults = nn.Linear(256, len(FAULTS))
        count = FRAMES // EVERY
        self.motion = nn.Sequential(
            nn.Linear(4 * w * 16, 48), nn.GELU(), nn.Flatten(1), nn.Linear(48 * count, 192), nn.GELU(),
            nn.Linear(192, len(MOVEMENTS)),
        )  # fmt: skip

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """(B, 8, 3, 64, 64) in [0, 1] -> logits (B, classes) of subject, colour, scene, movement; faults (B, 5)."""
        b, f = frames.shape[:2]
        seen = self.tower(frames.flatten(0, 1) * 2 - 1)
        flat = seen.flatten(1)
        look = self.look(seen)
        out = {
            name: getattr(self, name)(look).unflatten(0, (b, f)).mean(1)
            for name in ("subject", "colour", "scene", "faults")
        }
        out["movement"] = self.motion(flat.unflatten(0, (b, f)))
        return out


def _block(a: int, b: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(a, b, kernel, stride=2, padding=kernel // 2), nn.GroupNorm(8, b), nn.GELU(),
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What the judge says of N clips.

    Attributes:
        subject, colour, scene, movement: the names it reads, one a clip.
        right: for each of those four, and "action" (movement without its direction), float (N,) 1 where it agrees with
            the facts. Empty where no facts were given.
        log_probability: for each of those four, float (N,): how sure it is of what the facts say. Empty likewise.
        faults: name -> float (N,): strength of blur, wash, tint, noise, watermark, 0 absent to 1 strongest.
    """

    subject: list[str]
    colour: list[str]
    scene: list[str]
    movement: list[str]
    right: dict[str, Tensor]
    log_probability: dict[str, Tensor]
    faults: dict[str, Tensor]

    def columns(self) -> dict[str, Tensor]:
        """As columns of a table, see `Judge.columns`."""
        columns = {**self.right, **self.faults}
        columns |= {f"{name}_log_p": values for name, values in self.log_probability.items()}
        if self.right:
            columns["utility"] = torch.from_numpy(read_utility({k: v.numpy() for k, v in columns.items()}))
        return columns


class Judge:
    """Reads clips; see the module's docstring."""

    def __init__(self, net: nn.Module) -> None:
        self.net = net.eval().requires_grad_(False)

    @classmethod
    def load(cls, folder: str | Path, kind: Callable[[], nn.Module] = JudgeNet) -> Judge:
        """Open ``judge.safetensors`` in a folder; ``kind`` makes its network.

        Raises:
            InputError: there is none, or it was trained for other subjects.
        """
        path = Path(folder) / "judge.safetensors"
        if not path.exists():
            raise InputError(f"no judge at {path}; 'ivtutorial zoo train-all' makes it; or give its folder")
        named = json.loads((Path(folder) / "judge.json").read_text(encoding="utf-8"))["subjects"]
        if tuple(named) != SUBJECT_NAMES:
            raise InputError(f"the judge at {path} was trained for other subjects; train it anew")
        net = kind()
        net.load_state_dict({k: v.float() for k, v in load_file(path).items()})
        return cls(net)

    def save(self, folder: str | Path) -> None:
        """Write ``judge.safetensors`` (fp16) and the names of its classes."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({k: v.half().contiguous() for k, v in self.net.state_dict().items()}, folder / "judge.safetensors")
        (folder / "judge.json").write_text(json.dumps({"subjects": SUBJECT_NAMES}, indent=1), encoding="utf-8")

    @torch.no_grad()
    def __call__(self, frames: Tensor, facts: list[ClipFacts] | None = None, batch: int = 16) -> Verdict:
        """Judge clips.

        Args:
            frames: float (N, 16, 3, 64, 64) in [0, 1].
            facts: what they should show, N of them.
            batch: clips read at once.

        Raises:
            InputError: frames of another shape, or another number of facts.
        """
        if frames.ndim != 5 or tuple(frames.shape[1:]) != (FRAMES, 3, 64, 64):
            raise InputError(f"the judge reads clips (N, {FRAMES}, 3, 64, 64), got {tuple(frames.shape)}")
        if facts is not None and len(facts) != len(frames):
            raise InputError(f"{len(frames)} clips but {len(facts)} facts")
        parts = [self.net(chunk[:, ::EVERY].float()) for chunk in frames.split(batch)]
        logits = {k: torch.cat([p[k] for p in parts]) for k in parts[0]}
        names = {
            "subject": SUBJECT_NAMES, "colour": COLOUR_NAMES, "scene": SCENES, "movement": MOVEMENTS,
        }  # fmt: skip
        read = {k: [names[k][int(i)] for i in logits[k].argmax(-1)] for k in names}
        faults = {k: logits["faults"][:, i].clamp(0, 1) for i, k in enumerate(FAULTS)}
        right = {} if facts is None else _agreement(read, facts)
        sure = {} if facts is None else _log_probability(logits, facts)
        return Verdict(read["subject"], read["colour"], read["scene"], read["movement"], right, sure, faults)

    def columns(self, clips: Tensor, facts: Sequence[Mapping[str, Any]] | None = None) -> dict[str, Tensor]:
        """What an evaluation's table shows: an `ivtutorial.evaluation.judging.ClipJudge`.

        Args:
            clips: float (N, 16, 3, 64, 64) in [0, 1].
            facts: fields of `ivtutorial.lab.world.facts.ClipFacts`, N of them; None where they are not known.

        Returns:
            Column -> (N,): the faults; with facts also subject, colour, scene, movement, action (1 where they are read
            off), `subject_log_p` and so on (the log-probability that it gives to what was asked for), and the
            annotators' utility of what was read, at most 3.

        Raises:
            InputError: as for a call of the judge, or fields that are not those of a clip.
        """
        return self.read(clips, facts).columns()

    def read(self, clips: Tensor, facts: Sequence[Mapping[str, Any]] | None = None) -> Verdict:
        """Judge clips against the fields of facts, as a prompt list has them; arguments and errors as `columns`."""
        return self(clips, None if facts is None else [_clip_facts(fields) for fields in facts])


def open_judge(judge: str | Path = "reduced") -> Judge:
    """The shipped judge ("reduced"), or the one in a folder.

    Raises:
        InputError: no judge there.
    """
    return Judge.load(data_path("models", "judge") if str(judge) == "reduced" else judge)


def _clip_facts(fields: Mapping[str, Any]) -> ClipFacts:
    try:
        return ClipFacts(**fields)
    except TypeError as error:
        raise InputError(f"facts {dict(fields)!r} are not those of a clip ({error}).") from error


def _agreement(read: dict[str, list[str]], facts: list[ClipFacts]) -> dict[str, Tensor]:
    right = {
        k: torch.tensor([float(a == getattr(f, k)) for a, f in zip(read[k], facts)])
        for k in ("subject", "colour", "scene", "movement")
    }
    right["action"] = torch.tensor([float(a.split()[0] == f.action) for a, f in zip(read["movement"], facts)])
    return right


def _log_probability(logits: dict[str, Tensor], facts: list[ClipFacts]) -> dict[str, Tensor]:
    wanted = [targets(f) for f in facts]
    return {
        name: logits[name].log_softmax(-1)[torch.arange(len(facts)), torch.tensor([w[name] for w in wanted])]
        for name in ("subject", "colour", "scene", "movement")
    }


def targets(facts: ClipFacts) -> dict[str, int]:
    """Class numbers of a clip's facts."""
    return {
        "subject": SUBJECT_NAMES.index(facts.subject),
        "colour": COLOUR_NAMES.index(facts.colour),
        "scene": SCENES.index(facts.scene),
        "movement": MOVEMENTS.index(facts.movement),
    }


assert {m.split()[0] for m in MOVEMENTS} == set(ACTIONS) and all(f"{a} left" in MOVEMENTS for a in DIRECTED)
