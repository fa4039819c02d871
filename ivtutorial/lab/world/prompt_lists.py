"""The evaluation prompts of the reduced world, in the paper's groups, and the facts each should come true in.

| list          | prompts | what they describe                                                            |
|---------------|---------|-------------------------------------------------------------------------------|
| `in_domain`   | 270     | the 45 species, 6 each, one for each action; combinations that models know     |
| `new_animals` | 22      | the 6 species that fine-tuning never sees                                     |
| `things`      | 46      | no animals                                                                    |
| `unseen`      | 90      | the 45 species in combinations that the video model never trained on          |
| `demo`        | 64      | some of `in_domain`, every species among them                                 |

The paper has 263, 22 and 46 of the first three. All are written by code from fixed seeds; none repeats what a
clip of the fine-tuning set shows (:mod:`ivtutorial.lab.world.clip_set`).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from ivtutorial.data.prompts import Prompt
from ivtutorial.errors import InputError
from ivtutorial.lab.world import facts as world
from ivtutorial.lab.world.clip_set import plan_clips
from ivtutorial.lab.world.drawing.subject import Subject
from ivtutorial.lab.world.drawing.subjects import SPECIES, UNSEEN
from ivtutorial.lab.world.drawing.things import THINGS
from ivtutorial.system.files import atomic_write_text

PROMPT_SEED = 12490
COUNTS = {
    "in_domain": 6 * len(SPECIES),
    "new_animals": 22,
    "things": 46,
    "unseen": 2 * len(SPECIES),
    "demo": 64,
}


def make_prompts(seed: int = PROMPT_SEED) -> dict[str, list[Prompt]]:
    """All lists by name; the same seed gives the same prompts."""
    taken = {_content(p.facts) for p in plan_clips()}
    rngs = [np.random.default_rng((seed, k)) for k in range(5)]
    lists = {
        "in_domain": _draw(rngs[0], SPECIES, COUNTS["in_domain"], taken, held_out=False),
        "new_animals": _draw(rngs[1], UNSEEN, COUNTS["new_animals"], taken, held_out=False),
        "things": _draw(rngs[2], THINGS, COUNTS["things"], taken, held_out=False),
        "unseen": _draw(rngs[3], SPECIES, COUNTS["unseen"], taken, held_out=True),
    }
    lists["demo"] = _choose(rngs[4], lists["in_domain"], COUNTS["demo"])
    return lists


def write_prompts(folder: str | Path, seed: int = PROMPT_SEED) -> dict[str, int]:
    """Write each list to ``folder/NAME.json`` and return how many prompts it has.

    A list is a JSON array of ``{"prompt": text, "facts": {subject, colour, scene, action, facing, seed}}``,
    one a line; :func:`ivtutorial.data.prompts.read_prompts` reads it. The facts' seed only fixed the wording.

    Raises:
        InputError: the folder cannot be written.
    """
    lists = make_prompts(seed)
    for name, prompts in lists.items():
        lines = ",\n".join(json.dumps({"prompt": p.text, "facts": p.facts}) for p in prompts)
        atomic_write_text(Path(folder) / f"{name}.json", f"[\n{lines}\n]\n")
    return {name: len(prompts) for name, prompts in lists.items()}


def _content(facts: world.ClipFacts) -> tuple[str, ...]:
    return facts.subject, facts.colour, facts.scene, facts.movement


def _draw(
    rng: np.random.Generator,
    subjects: Sequence[Subject],
    count: int,
    taken: set[tuple[str, ...]],
    held_out: bool,
) -> list[Prompt]:
    """``count`` prompts that share the subjects evenly; each subject goes through the actions and through the
    scenes."""
    share = [count // len(subjects) + (k < count % len(subjects)) for k in range(len(subjects))]
    prompts: list[Prompt] = []
    for item, number in zip(subjects, share, strict=True):
        actions = rng.permutation(world.ACTIONS)[:number]
        scenes: set[str] = set()
        for action in actions:
            facts = _draw_one(rng, item, str(action), scenes, taken, held_out)
            scenes.add(facts.scene)
            taken.add(_content(facts))
            prompts.append(Prompt(world.caption_of(facts, item, int(rng.integers(1000))), asdict(facts)))
    return prompts


def _draw_one(
    rng: np.random.Generator,
    item: Subject,
    action: str,
    scenes: set[str],
    taken: set[tuple[str, ...]],
    held_out: bool,
) -> world.ClipFacts:
    """Facts with this action that nothing else has, in a scene that the subject has not had yet if there is
    one."""
    for attempt in range(10_000):
        facts = world.draw_facts(rng, [item], held_out)
        fresh = facts.scene not in scenes or attempt > 500
        if facts.action == action and fresh and _content(facts) not in taken:
            return facts
    raise InputError(f"the zoo has no combination left for a {item.name} and {action!r}")


def _choose(rng: np.random.Generator, prompts: Sequence[Prompt], count: int) -> list[Prompt]:
    """One prompt of each subject, then others up to ``count``, in the order of the list."""
    order = [int(i) for i in rng.permutation(len(prompts))]
    first: dict[str, int] = {}
    for i in order:
        first.setdefault((prompts[i].facts or {})["subject"], i)
    chosen = list(first.values()) + [i for i in order if i not in first.values()]
    return [prompts[i] for i in sorted(chosen[:count])]
