"""The clips that experiments fine-tune on: the shipped ones of web quality, or the very same ones drawn clean."""

from __future__ import annotations

from pathlib import Path

from ivtutorial.data.clips import Clip, read_clips, write_clips
from ivtutorial.data.prompts import spread
from ivtutorial.system.files import data_path


def clip_set(name: str, count: int, folder: Path) -> list[Clip]:
    """Clips of a set.

    Args:
        name: "web", the shipped clips, or "clean", the same subjects, scenes and actions without any fault.
        count: how many, evenly spread over the species.
        folder: where clean clips are drawn, once.

    Returns:
        Video files with their captions; clip k of both sets shows the same.
    """
    if name == "web":
        return spread(read_clips(data_path("clips")), count)
    return _clean(count, folder / f"clean-{count}")


def _clean(count: int, folder: Path) -> list[Clip]:
    from ivtutorial.lab.world import facts as world
    from ivtutorial.lab.world.clip_set import CRF, plan_clips
    from ivtutorial.lab.world.drawing.subjects import subject
    from ivtutorial.video.writer import write_video

    if (folder / "captions.csv").is_file():
        return read_clips(folder)
    clips = []
    for plan in spread(list(plan_clips()), count):
        path = folder / plan.name
        write_video(path, world.render(plan.facts, subject(plan.facts.subject)), world.FPS, CRF)
        clips.append(Clip(path, plan.caption))
    write_clips(folder / "captions.csv", clips)  # last: with it the set is complete
    return clips
