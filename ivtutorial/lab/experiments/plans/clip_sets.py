"""The clips that experiments fine-tune on: the shipped ones of web quality, or the very same ones with fewer faults."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from ivtutorial.data.clips import Clip, read_clips, write_clips
from ivtutorial.data.prompts import Prompt, spread
from ivtutorial.lab.world.clip_set import CRF, ClipPlan, plan_clips
from ivtutorial.lab.world.web_faults import STRONGEST, degrade
from ivtutorial.system.files import data_path

SHIPPED_CLIPS = 225  # that are shipped


def clip_set(name: str, count: int, folder: Path) -> list[Clip]:
    """Clips of a set.

    Args:
        name: "web", the shipped clips; "clean", the same subjects, scenes and actions without any fault; or "light",
            with every fault half as strong.
        count: how many, evenly spread over the species.
        folder: where other clips than the shipped ones are drawn, once.

    Returns:
        Video files with their captions; clip k of all sets shows the same.
    """
    if name == "web":
        return spread(read_clips(data_path("clips")), count)
    return _drawn(0.5 if name == "light" else 0.0, count, folder / f"{name}-{count}")


def caption_prompts(count: int) -> list[Prompt]:
    """Captions of fine-tuning clips as prompts, with their facts, evenly spread over the usual 225."""
    return [Prompt(plan.caption, asdict(plan.facts)) for plan in spread(_usual(), count)]


def clips_of_prompts(name: str, count: int, folder: Path) -> list[Clip]:
    """The clips of a set whose captions :func:`caption_prompts` gives, in the same order."""
    return spread(clip_set(name, SHIPPED_CLIPS, folder), count)


def _usual() -> list[ClipPlan]:
    return spread(list(plan_clips()), SHIPPED_CLIPS)


def _drawn(strength: float, count: int, folder: Path) -> list[Clip]:
    """Clips whose faults have a share of their strength; 0 draws none."""
    from ivtutorial.lab.world import facts as world
    from ivtutorial.lab.world.drawing.subjects import subject
    from ivtutorial.video.writer import write_video

    if (folder / "captions.csv").is_file():
        return read_clips(folder)
    clips = []
    for plan in spread(list(plan_clips()), count):
        path = folder / plan.name
        faults = replace(plan.faults, **{fault: strength * getattr(plan.faults, fault) for fault in STRONGEST})
        frames = world.render(plan.facts, subject(plan.facts.subject))
        write_video(path, degrade(frames, faults) if strength else frames, world.FPS, CRF)
        clips.append(Clip(path, plan.caption))
    write_clips(folder / "captions.csv", clips)  # last: with it the set is complete
    return clips
