"""What the commands share besides options: processes, prompts, and how results and interruptions are reported."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from ivtutorial.errors import InputError

if TYPE_CHECKING:
    from ivtutorial.data.prompts import Prompt
    from ivtutorial.models.memory import Precision


@contextmanager
def interruptible(hint: str) -> Iterator[None]:
    """Ends with exit code 130 and a word on how to go on when the user presses Ctrl-C."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo(f"\nivtutorial: interrupted. {hint}", err=True)
        raise typer.Exit(130) from None


def default_processes(wanted: int | None, device: str | None = None) -> int:
    """How many processes to use: those wanted; 1 under torchrun or on a GPU; else 2, if there are two cores.

    With one process on a CPU torch gets one thread, too: small models only wait for a second one.
    """
    import torch

    from ivtutorial.system.device import choose_device
    from ivtutorial.system.processes import started_processes
    from ivtutorial.system.provenance import cores

    if wanted is not None:
        chosen = wanted
    elif started_processes() > 1 or choose_device(device).type == "cuda":
        return 1
    else:
        chosen = min(2, cores())
    if chosen == 1 and "OMP_NUM_THREADS" not in os.environ and choose_device().type == "cpu":
        torch.set_num_threads(1)
    return chosen


def quiet_loading(model: str) -> None:
    """No progress bars for reading weights that lie on this machine; downloads keep theirs.

    To be called before anything imports the Hugging Face libraries; the processes of `launch` inherit it.
    """
    if model == "reduced" or Path(model).exists():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def show(result: dict[str, Any], text: str, as_json: bool) -> None:
    """Print a result for a program or for a reader."""
    typer.echo(json.dumps(result, indent=1) if as_json else text)


def prompts_given(texts: Sequence[str] | None, source: str | None) -> list[Prompt]:
    """Prompts from the arguments, from a file, or from a shipped list.

    Raises:
        InputError: none or both of them, or what `ivtutorial.data.prompts.as_prompts` raises.
    """
    from ivtutorial.data.prompts import as_prompts
    from ivtutorial.system.files import data_path

    if bool(texts) == bool(source):
        raise InputError("give prompts either as arguments, each in quotes, or with --prompts FILE.")
    if texts:
        return as_prompts([_unicode(text) for text in texts])
    name = str(source)
    if Path(name).exists() or not name.replace("_", "").isalpha():
        return as_prompts(Path(name))
    lists = sorted(path.stem for path in data_path("prompts").glob("*.json"))
    if name not in lists:
        raise InputError(f"--prompts {name}: there is no such file, and the shipped lists are {', '.join(lists)}.")
    return as_prompts(data_path("prompts", f"{name}.json"))


def _unicode(argument: str) -> str:
    """An argument whose bytes are UTF-8, also where the locale is not: Python then hands half surrogates over."""
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:
        return argument


def chosen_precision(setting: str, device: str | None) -> Precision:
    """What `--precision` stands for on the device that `--device` stands for.

    Raises:
        InputError: an unknown precision or device, or fp16 on a CPU.
    """
    from ivtutorial.models.precision import choose_precision
    from ivtutorial.system.device import choose_device

    return choose_precision(setting, choose_device(device).type)


def clip_length(model: str, frames: int | None, fps: float | None) -> tuple[int, float]:
    """Frames of a clip and frames a second: as given, or as is usual for the model.

    Raises:
        InputError: no such model.
    """
    if frames is not None and fps is not None:
        return frames, fps
    from ivtutorial.models.named import clocks

    usual = clocks(model)
    return usual.frames if frames is None else frames, usual.fps if fps is None else fps


def guidance_for(model: str, guidance: float | None) -> float:
    """Scale of the guidance: as given, or as is usual for the model.

    Raises:
        InputError: no such model.
    """
    if guidance is not None:
        return guidance
    from ivtutorial.models.named import clocks

    return clocks(model).guidance


def estimate_line(name: str, e: dict[str, Any]) -> str:
    """A line of a table: mean, standard deviation, interval of the mean, number of clips."""
    interval = f"{e['low']:.4f} to {e['high']:.4f}"
    return f"{name:14} {e['mean']:.4f} +- {e['std']:.4f}  (95 % interval of the mean {interval}, n = {e['n']})"


def save_json(path: Path, content: Any) -> None:
    """Write JSON, whole or not at all."""
    from ivtutorial.system.files import atomic_write_text

    atomic_write_text(path, json.dumps(content, indent=1) + "\n")
