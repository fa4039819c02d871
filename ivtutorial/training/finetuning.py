"""Reward fine-tuning (Sec. 3.3, supplement C): from a model, clips and a reward to an adapter.

Everything random in step n comes from (seed, n) and a clip's place in it. So a run that was cut off, by kill -9 if need
be, and continued takes the very steps of an unbroken run. What is stored and drawn is exact everywhere: adapter, Adam's
moments, loss scale, clips, noise, dropout. What is computed from it repeats bit for bit on a CPU; on a GPU up to
rounding, because some of CUDA's backward passes add in an order that varies, and bit for bit with `deterministic`. Two
processes take the steps of one process with twice the batch, or with two passes, up to the rounding of sums (dropout
excepted).

Where this differs from the authors' code: clips are encoded once, shuffled, and shared out among the processes; a
step whose loss or gradient is not finite is skipped and counted; the reward is frozen; the first step is not lost to a
learning rate of 0.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ivtutorial.data.dataset import LatentDataset
from ivtutorial.data.lists import LATENTS, PREPARED, Clip
from ivtutorial.data.prompt_cache import encode_captions
from ivtutorial.errors import InputError
from ivtutorial.models.dit.tiny_decoder import tiny_decoding
from ivtutorial.models.lora import LORA_FILE, PREFIXES, has_lora, load_lora, merge_lora
from ivtutorial.models.lora_formats import find_adapter
from ivtutorial.models.named import model_location, open_model
from ivtutorial.rewards.named import open_reward
from ivtutorial.system.device import allow_tf32, choose_device
from ivtutorial.system.files import atomic_write, check_writable
from ivtutorial.system.out_of_memory import OPENING_OPTIONS, explain_out_of_memory
from ivtutorial.system.processes import launch
from ivtutorial.system.provenance import describe
from ivtutorial.system.repeatable import repeatable
from ivtutorial.system.share import rank_and_world, wait_for_all
from ivtutorial.training import run_folder
from ivtutorial.training.checkpoints import CHECKPOINTS
from ivtutorial.training.config import FinetuneConfig
from ivtutorial.training.fit import fitted, using, warn_of_lost_gradients
from ivtutorial.training.loop import finish, take_steps
from ivtutorial.training.presets import advise_preset, default_config
from ivtutorial.training.run_folder import FinetuneResult
from ivtutorial.training.start import load_data, make_accelerator, start, weights_dtypes
from ivtutorial.training.step import Evaluations, LossFn
from ivtutorial.training.trackers import tracking
from ivtutorial.video.pyav import need_pyav
from ivtutorial.weights.files import read_weights, tensors_of

if TYPE_CHECKING:
    from ivtutorial.models.named import AnyBackbone
    from ivtutorial.rewards.base import ImageReward


def finetune(
    model: AnyBackbone | str | Path,
    clips: str | Path | Sequence[Clip] | LatentDataset,
    reward: ImageReward | str | Path,
    out: str | Path,
    config: FinetuneConfig | None = None,
    *,
    resume: bool = False,
    processes: int = 1,
    loss_fn: LossFn | None = None,
    cache: str | Path | None = None,
    device: str | None = None,
    progress: bool = True,
    skip_bad: bool = False,
    root: str | Path | None = None,
) -> FinetuneResult:
    """Fine-tune a text-to-video model on a reward; its weights are not changed, the result is an adapter.

    Args:
        model: a backbone (used where it is, and left as it was), "reduced", "modelscope", a folder or a hub name.
        clips: video-caption pairs: a CSV or folder (see `ivtutorial.data.clips.read_clips`), a list of clips, or
            encoded ones.
        reward: any image reward, "reduced", or a folder.
        out: folder of the run, see `ivtutorial.training.run_folder`.
        config: all settings; default those of the paper, for a flow model with the tau that noises as much, and on a
            GPU with the preset for its memory, which a line in the log names (see `ivtutorial.training.presets`).
        resume: continue the run in `out`, if there is one. `steps`, the settings of samples and checkpoints, and the
            split into processes and accumulation may differ; anything else may not.
        processes: number of single-threaded processes on this machine, CPU only, each with `batch_size` clips. For
            several GPUs use torchrun or accelerate, which start this function in each process.
        loss_fn: (models, batch, generator) -> (loss, numbers to log); default the method's own.
        cache: folder of encoded clips, shared by runs on the same data; default that of a set that `ivtutorial prepare`
            wrote, else `out/cache`.
        device: "cpu" or "cuda", for a model given by name; default the GPU if there is one.
        progress: show a progress bar.
        skip_bad: leave clips that cannot be used out, and list them in config.json, instead of an error.
        root: folder that the paths of a list are relative to; default the list's own.

    Returns:
        Where the adapter is, and what it took; `metrics` reads the log.

    Raises:
        InputError: unusable input; `out` holds a run and `resume` is off; the run there was made otherwise; a full or
            read-only disk; a loss that was not finite too often; samples or files to read without PyAV. Checkpoints
            stay whole.
        KeyboardInterrupt: Ctrl-C or SIGTERM, after the step at hand and its checkpoint.

    Example:
        >>> config = FinetuneConfig(steps=100, lr=1e-3, batch_size=4)
        >>> result = finetune("reduced", "my_clips", "reduced", "runs/a", config)  # doctest: +SKIP
        >>> after = generate("reduced", prompts, lora=result.lora)  # doctest: +SKIP
    """
    folder = Path(out)
    check_writable(folder)
    if not resume and any((folder / name).exists() for name in (run_folder.CONFIG_FILE, CHECKPOINTS)):
        raise InputError(f"{folder} holds a run already. Continue it with resume, or choose another folder.")
    if cache is None:
        prepared = isinstance(clips, (str, Path)) and (Path(clips) / PREPARED).is_file()
        cache = Path(str(clips)) / LATENTS if prepared else folder / "cache"
    kind = device if processes == 1 else "cpu"
    settings = config or default_config(model, kind, folder if resume else None)
    if config is not None:
        advise_preset(config, model, kind)
    if settings.sample_every:
        need_pyav("set sample_every to 0")  # now, not at the first round of samples
    base = None if root is None else Path(root)
    arguments = (model, clips, reward, folder, settings, loss_fn, Path(cache), device, progress, skip_bad, base)
    with torch.inference_mode(False):  # also sees to gradients where a notebook has switched them off
        return launch(_run, processes, *arguments)[0]


def export_merged(
    model: AnyBackbone | str | Path,
    lora: str | Path,
    folder: str | Path,
    scale: float = 1.0,
    dtype: torch.dtype | None = None,
    device: str | None = None,
) -> Path:
    """Write the model with the adapter merged in, as a folder that the stock pipeline opens without us.

    Args:
        model: the base model, as for `finetune`; a backbone is copied, not changed.
        lora: folder of the adapter, or of a run (of one that has not ended, the newest checkpoint).
        folder: to write.
        scale: how much of the adapter.
        dtype: of the stored weights, e.g. torch.float16, in which a model given by name is opened, too: at full size
            4 GB of memory instead of 7. W + B A is computed in float32 and rounded once.
        device: "cpu" or "cuda", for a model given by name; default the GPU if there is one.

    Returns:
        The folder. Of several processes only the first one writes it, and the others wait.

    Raises:
        InputError: unusable model or adapter, the memory is too small, or the folder cannot be written or is that of
            the model.
    """
    from ivtutorial.models.backbone_folder import save_backbone
    from ivtutorial.models.dit import DitBackbone, save_dit

    check_merged_folder(model, folder)
    if rank_and_world()[0] == 0:
        with explain_out_of_memory(OPENING_OPTIONS):
            if isinstance(model, (str, Path)):
                tuned = open_model(model, dtype, choose_device(device))
            else:
                name = "transformer" if isinstance(model, DitBackbone) else "unet"
                tuned = replace(model, **{name: copy.deepcopy(model.unet)})
            load_lora(tuned.unet, lora)
            merge_lora(tuned.unet, scale)
        if isinstance(tuned, DitBackbone):
            save_dit(tuned, folder, dtype)
        else:
            same = {dtype} == {tuned.unet.dtype, tuned.vae.dtype, tuned.text_encoder.dtype}
            save_backbone(tuned, folder, None if same else dtype)
    wait_for_all()
    return Path(folder)


def check_merged_folder(model: AnyBackbone | str | Path, folder: str | Path) -> None:
    """Refuse a folder that `export_merged` cannot write, or in which it would replace the model itself.

    Raises:
        InputError: such a folder.
    """
    check_writable(folder)
    if isinstance(model, (str, Path)) and Path(model_location(model)).resolve() == Path(folder).resolve():
        raise InputError(f"{folder} is the model itself, which would be lost: give another folder for the merged one.")


def export_adapter(lora: str | Path, folder: str | Path) -> Path:
    """Write an adapter alone, in the format of diffusers' `load_lora_weights`, for a stock pipeline (of
    a UNet: one that holds a `VideoUNet`).

    Args:
        lora: folder of a run (of one that has not ended, the newest checkpoint) or of an adapter that this package
            wrote.
        folder: to write.

    Returns:
        The folder.

    Raises:
        InputError: no adapter, or one in another format; or the folder cannot be written.
    """
    path = find_adapter(lora)
    names = tensors_of(read_weights(path, "LoRA weights"), path, "state_dict")
    if not all(name.startswith(PREFIXES) and name.endswith((".lora_A.weight", ".lora_B.weight")) for name in names):
        raise InputError(f"{path} is not in diffusers' format: it can be merged into its model, but not copied.")
    if rank_and_world()[0] == 0:
        with atomic_write(Path(folder) / LORA_FILE) as file:
            file.write(path.read_bytes())
    wait_for_all()
    return Path(folder)


def _run(
    model: AnyBackbone | str | Path,
    clips: str | Path | Sequence[Clip] | LatentDataset,
    reward: ImageReward | str | Path,
    out: Path,
    config: FinetuneConfig,
    loss_fn: LossFn | None,
    cache: Path,
    device: str | None,
    progress: bool,
    skip_bad: bool,
    root: Path | None,
) -> FinetuneResult:
    """The whole run, in each process; the caller's random state stays as it is."""
    chosen = choose_device(device)
    accelerator = make_accelerator(config, chosen if isinstance(model, (str, Path)) else model.device, out)
    dtypes = weights_dtypes(config, accelerator.device)
    backbone = open_model(model, dtypes, accelerator.device)
    scorer = open_reward(reward, backbone.device, dtypes["reward"])
    names = {"model": describe(model), "reward": describe(reward)}
    devices = [backbone.device] if backbone.device.type == "cuda" else []
    # The tiny decoder before all else: a wrong file is an error at once. Encoding, too, is to repeat itself.
    repeats, fast = repeatable(config.deterministic), allow_tf32(backbone.device, config.precision)
    with tiny_decoding(backbone, config.decoder), repeats, fast:
        with torch.random.fork_rng(devices), using(backbone, config.memory):
            # Clips and captions first: a model of `ivtutorial.models.dit` loads its transformer after that.
            data = load_data(clips, backbone, config, cache, skip_bad, progress, root)
            encode_captions(backbone, [*data.captions, *config.sample_prompts], cache)
        with (
            torch.random.fork_rng(devices),
            _borrowed(backbone) as evaluations,
            fitted(backbone, scorer, config.memory) as scorer,
        ):
            warn_of_lost_gradients(backbone.unet.dtype, accelerator.scaler)
            run, state = start(out, config, accelerator, backbone, scorer, data, evaluations, names, loss_fn)
            with tracking(accelerator, config.trackers, out, state.step, config.to_dict()):
                take_steps(run, state, progress)
            return finish(run, state)


@contextmanager
def _borrowed(backbone: AnyBackbone) -> Iterator[Evaluations]:
    """Counts the UNet's evaluations while it is trained, and gives the model back without adapter."""
    evaluations = Evaluations()
    hook = backbone.unet.register_forward_pre_hook(evaluations, with_kwargs=True)
    try:
        yield evaluations
    finally:
        hook.remove()
        if has_lora(backbone.unet):
            backbone.unet.unload_lora()
