"""From any list of video files to a checked, encoded training set.

OUT/report.csv       one row an entry of the list: ok, too short, undecodable, no caption, duplicate, ...
OUT/sheets/          contact sheets of the good clips
OUT/manifest.jsonl   the good clips: path below the data root, caption, start, hash
OUT/prepared.json    the data root, the frame settings, the counts
OUT/latents/         encoded clips, see `ivtutorial.data.latent_cache`, and captions, see `ivtutorial.data.prompt_cache`

`finetune` takes OUT as its clips. It then needs neither the video files nor the encoder, unless another model or
another choice of frames is wanted; then the files are read again, and must be those that were checked.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ivtutorial.data.check import Checked, check_entries, counts, write_check_report
from ivtutorial.data.latent_cache import FrameSettings, LatentCache
from ivtutorial.data.lists import LATENTS, MANIFEST, PREPARED, Clip, list_in, read_entries
from ivtutorial.data.places import below
from ivtutorial.data.prompt_cache import encode_captions
from ivtutorial.data.text import bad_entries, json_line
from ivtutorial.errors import InputError
from ivtutorial.models.named import open_encoder
from ivtutorial.system.device import choose_device
from ivtutorial.system.files import atomic_write_text, check_writable
from ivtutorial.system.processes import launch
from ivtutorial.system.progress import bar
from ivtutorial.system.provenance import describe
from ivtutorial.system.share import own_share, rank_and_world, wait_for_all
from ivtutorial.video.pyav import need_pyav

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone

REPORT, SHEETS = "report.csv", "sheets"
ADVICE = "The report is {}. Mend them, or leave them out with skip_bad."
NONE_LEFT = "The report is {}. Mend them: without them no clip is left."


@dataclass(frozen=True)
class Prepared:
    """A prepared training set.

    Attributes:
        folder: what `finetune` takes as its clips.
        clips: the good ones.
        counts: how many entries have each status.
        problems: what is wrong with the others.
    """

    folder: Path
    clips: Sequence[Clip]
    counts: dict[str, int]
    problems: Sequence[str]


def prepare(
    source: str | Path,
    out: str | Path,
    model: AnyBackbone | str | Path | None = "reduced",
    *,
    frames: int = 16,
    fps: float = 8.0,
    height: int | None = None,
    width: int | None = None,
    root: str | Path | None = None,
    skip_bad: bool = False,
    sheets: bool = True,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    workers: int = 2,
    processes: int = 1,
    progress: bool = False,
) -> Prepared:
    """Check every clip of a list, write the report, sheets and manifest, and encode the good clips.

    A clip is the first `frames` frames from its start, sampled at `fps`, scaled so that it just covers height x width,
    and cut in the centre (see `ivtutorial.video.reader.read_video`). What was encoded before is not encoded again, so
    the call can be repeated after it was cut off, or with more clips.

    Args:
        source: a list or folder, see `ivtutorial.data.lists`.
        out: folder to write into; the videos themselves are not copied.
        model: whose VAE encodes, and whose own size is the default; None to check only. Of a model given by name only
            the VAE is opened.
        frames: F.
        fps: frames a second to sample at.
        height: in pixels, default the model's own, without a model 256; so is width.
        width: see height.
        root: folder that paths in the list are relative to and may not leave; default the list's own.
        skip_bad: leave bad clips out and count them, instead of an error.
        sheets: write contact sheets.
        dtype: of the VAE's weights; the one that fine-tuning will use.
        device: "cpu" or "cuda", for a model given by name; of several GPUs the one of this process.
        workers: files decoded at once while checking.
        processes: single-threaded processes that share the encoding (CPU only).
        progress: show progress bars.

    Returns:
        The good clips, the counts and the problems.

    Raises:
        InputError: no such list, bad clips (all named, also in report.csv), none left, OUT cannot be written or is the
            folder of the clips, or the GPU's memory is too small: clips that were encoded stay so. Or there is no such
            device, or no PyAV.

    Example:
        >>> prepare("my_clips", "runs/my_clips").counts  # doctest: +SKIP
        {'ok': 880}
    """
    need_pyav()
    out, named = Path(out), isinstance(model, (str, Path))
    _check_out(Path(source), out)
    where = choose_device(device) if named else torch.device("cpu")  # a backbone stays where it is
    backbone = None if model is None else open_encoder(model, dtype, where)
    entries = read_entries(source, root)
    if backbone is None:
        settings = FrameSettings(frames, fps, height or 256, width or 256)
    else:
        settings = FrameSettings.of(backbone, frames, fps, height, width)
    with bar(len(entries), progress, "checking clips") as advance:
        folder = out / SHEETS if sheets and rank_and_world()[0] == 0 else None
        results = check_entries(entries, folder, frames, fps, (settings.height, settings.width), workers, advance)
    results = [_with_length_of_caption(item, backbone) for item in results]
    write_check_report(out / REPORT, results)
    good, problems = _good_clips(results, source, skip_bad, out / REPORT)
    _write_manifest(out, _root(Path(source), root), good, results, settings, model)
    if model is not None and backbone is not None:
        arguments = (good, out / LATENTS, settings, dtype, where, progress)
        launch(_encode_share, processes, backbone if processes == 1 else model, *arguments)
    wait_for_all()
    return Prepared(out, good, counts(results), problems)


def _check_out(source: Path, out: Path) -> None:
    """It can be written, and is another one than the folder of the clips.

    There the manifest would take the place of its list, and clips added later be left out.
    """
    if source.is_dir() and source.resolve() == out.resolve() and list_in(source).name != PREPARED:
        raise InputError(f"{out} is the folder of the clips itself: give another one to write into (--out FOLDER).")
    check_writable(out)


def _good_clips(
    results: Sequence[Checked], source: str | Path, skip_bad: bool, report: Path
) -> tuple[list[Clip], list[str]]:
    """The good clips and the problems of the others, which are an error where they are not left out or all there is."""
    good = [item.clip for item in results if item.status == "ok" and item.clip is not None]
    problems = [item.problem for item in results if item.status != "ok"]
    if problems and not skip_bad or not good:
        advice = (ADVICE if good else NONE_LEFT).format(report)
        raise InputError(f"{bad_entries(str(source), problems, len(results))}\n{advice}")
    return good, problems


def _with_length_of_caption(item: Checked, backbone: AnyBackbone | None) -> Checked:
    """Notes a caption that is longer than what the model reads; rewards warn of their own limits when they score."""
    if backbone is None or item.clip is None:
        return item
    limit = backbone.caption_limit
    count = len(backbone.tokenizer(item.clip.caption, verbose=False).input_ids)
    if count <= limit:
        return item
    return replace(item, notes=[*item.notes, f"the caption has {count} tokens, the model reads {limit}"])


def _encode_share(
    model: AnyBackbone | str | Path,
    clips: Sequence[Clip],
    cache: Path,
    settings: FrameSettings,
    dtype: torch.dtype,
    device: torch.device,
    progress: bool,
) -> None:
    rank, world = rank_and_world()
    backbone = open_encoder(model, dtype, device)
    store = LatentCache(cache, backbone, settings)
    with bar(len(clips), progress and rank == 0, "encoding clips") as advance:
        problems = store.fill(own_share(clips), advance=lambda count: advance(count * world))
    if problems:
        raise bad_entries("while encoding", list(problems.values()), len(clips))
    encode_captions(backbone, [clip.caption for clip in clips], cache)


def _root(source: Path, root: str | Path | None) -> Path:
    """The folder that the list's paths are relative to."""
    file = list_in(source)
    if root is not None:
        return Path(root)
    if file.name == PREPARED:
        return file.parent / str(json.loads(file.read_text(encoding="utf-8")).get("root", "."))
    return file if file.is_dir() else file.parent


def _write_manifest(
    out: Path,
    root: Path,
    clips: Sequence[Clip],
    results: Sequence[Checked],
    settings: FrameSettings,
    model: Any,
) -> None:
    base = root.resolve()
    rows = [
        {"video": below(clip.path, root), "caption": clip.caption, "start": clip.start, "sha256": clip.sha256}
        for clip in clips
    ]
    try:
        named_root = Path(os.path.relpath(base, out.resolve())).as_posix()
    except ValueError:  # another drive
        named_root = base.as_posix()
    named = None if model is None else describe(model)
    about = {"root": named_root, "frames": asdict(settings), "counts": counts(results), "model": named}
    atomic_write_text(out / MANIFEST, "".join(json_line(row) for row in rows))
    atomic_write_text(out / PREPARED, json.dumps(about, indent=1) + "\n")
