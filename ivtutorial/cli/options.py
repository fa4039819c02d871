"""Options that several commands share, each defined once: what it does, its unit, the paper's symbol and
value."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ivtutorial.rewards.shipped import SHIPPED
from ivtutorial.rivals.named import METHOD_MODULES
from ivtutorial.training.trackers import TRACKERS

if TYPE_CHECKING:
    from ivtutorial.sampling.generation import Sampling

Model = Annotated[
    str,
    typer.Option(
        help="Text-to-video model: 'reduced', 'modelscope', 'wan2.1-1.3b', 'cogvideox-2b', a folder or a hub name."
    ),
]
Reward = Annotated[
    str,
    typer.Option(
        help=f"Image reward r: reduced, {', '.join(SHIPPED)}, NAME:FILE-OR-FOLDER, a folder, package.module:function, "
        "or a sum like '0.7*hpsv2 + 0.02*aesthetic'."
    ),
]
Out = Annotated[Path, typer.Option(help="Folder to write into; made if absent.")]
Seeds = Annotated[
    list[int] | None,
    typer.Option("--seed", help="Seed of the noise, default 0; repeat it for several samples a prompt."),
]
Texts = Annotated[
    list[str] | None, typer.Argument(metavar="[PROMPT]...", help="Texts, each in quotes.", show_default=False)
]
D = Annotated[
    int,
    typer.Option("--ddim-steps", "-D", help="DDIM steps D of the full chain (paper: 20; 50 as a variant)."),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        help="Classifier-free guidance scale; 1 is none; default that of the model's authors (the paper's: 3)."
    ),
]
Frames = Annotated[
    int | None, typer.Option(help="Frames F of a clip; default the model's (paper: 16; Wan: 17, or any 4 k + 1).")
]
Fps = Annotated[float | None, typer.Option(help="Frames a second of video files; default the model's (paper: 8).")]
Height = Annotated[int | None, typer.Option(help="Height in pixels; default the model's own.")]
Width = Annotated[int | None, typer.Option(help="Width in pixels; default the model's own.")]
Eta = Annotated[float, typer.Option(help="0 is deterministic DDIM, 1 as noisy as DDPM.")]
Lora = Annotated[
    Path | None,
    typer.Option(help="Adapter to use: a run (its result, or its newest checkpoint so far) or the folder of one."),
]
LoraScale = Annotated[float, typer.Option(help="How much of the adapter: 0 the base model, 1 as trained.")]
BatchSize = Annotated[int, typer.Option(help="Clips sampled together; changes speed and memory only.")]
Processes = Annotated[
    int | None, typer.Option(help="Single-threaded CPU processes; default 2, or 1 on a GPU or a single core.")
]
Device = Annotated[str | None, typer.Option(help="'cpu' or 'cuda'; default the GPU if there is one.")]
Precision = Annotated[
    str,
    typer.Option(
        help="'fp32', 'bf16', on a GPU 'fp16', or 'auto': on a GPU the preset's, or fp16; on a CPU bf16 for the UNet "
        "where the processor has instructions for it."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")]
Segments = Annotated[int, typer.Option("--segments", "-S", help="Segments S, must divide F (Eq. 6; paper: 4).")]
Root = Annotated[
    Path | None, typer.Option(help="Folder that the list's paths are relative to; default the list's own.")
]
Method = Annotated[str | None, typer.Option(help=f"{', '.join(METHOD_MODULES).lower()}; default instructvideo.")]
Trackers = Annotated[
    str | None,
    typer.Option(
        metavar="NAME,...",
        help=f"Where curves and samples are shown: {', '.join(TRACKERS)}, or none; default tensorboard.",
    ),
]
PromptFile = Annotated[
    str | None,
    typer.Option(help="Text, CSV or JSON file, or a shipped list: in_domain, new_animals, things, unseen, demo."),
]


@dataclass(frozen=True)
class SamplingOptions:
    """What `generate` and `evaluate` have in common: adapter, seeds, how to sample, and on what."""

    lora: Lora = None
    lora_scale: LoraScale = 1.0
    seed: Seeds = None
    ddim_steps: D = 20
    guidance: Guidance = None
    frames: Frames = None
    height: Height = None
    width: Width = None
    eta: Eta = 0.0
    fps: Fps = None
    batch_size: BatchSize = 8
    processes: Processes = None
    device: Device = None
    precision: Precision = "auto"

    def sampling(self, model: str, frames: int) -> Sampling:
        """The library's settings for a model, in the precision that the device allows, for clips of this many frames.

        Raises:
            InputError: a number out of range, an unknown model, precision or device.
        """
        from ivtutorial.cli.support import chosen_precision, guidance_for
        from ivtutorial.sampling.generation import Sampling

        precision, guidance = chosen_precision(self.precision, self.device), guidance_for(model, self.guidance)
        return Sampling(
            self.ddim_steps, guidance, frames, self.height, self.width, self.eta, self.batch_size, precision
        )


def with_sampling_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with an option for each field of `SamplingOptions`, in the place of its argument `options`."""
    hints = get_type_hints(SamplingOptions, include_extras=True)
    fields = {field.name: field.default for field in dataclasses.fields(SamplingOptions)}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if parameter.name == "options":
            parameters += [parameter.replace(name=n, default=d, annotation=hints[n]) for n, d in fields.items()]
        else:
            parameters.append(parameter)

    @wraps(command)
    def spelt_out(**values: Any) -> None:
        command(options=SamplingOptions(**{name: values.pop(name) for name in fields}), **values)

    spelt_out.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    spelt_out.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spelt_out
