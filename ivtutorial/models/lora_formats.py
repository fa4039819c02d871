"""Adapter files of this and of other trainers, read into one form: A and B of each projection, the factor inside B.

| format           | a name in it                                                   | factor                          |
|------------------|----------------------------------------------------------------|---------------------------------|
| diffusers (ours) | `unet.X.to_q.lora_A.weight`, with or without `unet.`           | from the file's metadata, or 1  |
| PEFT             | `base_model.model.X.to_q.lora_A.weight`                        | `adapter_config.json` beside it |
| older diffusers  | `X.processor.to_q_lora.down.weight`, `X.to_q.lora.down.weight` | `.alpha` / rank, or 1           |
| kohya            | `lora_unet_X_to_q.lora_down.weight`, dots written as _         | `.alpha` / rank, or 1           |

Where an adapter is looked for: the file itself, a folder with it, or the folder of a run, finished or not.

X.to_q is a projection of the UNet, or of a transformer, under diffusers' names; for Wan also under its authors' names
(`diffusion_model.blocks.0.self_attn.q`, `lora_unet_blocks_0_self_attn_q`). What cannot be identified for certain is
refused: half adapters, matrices that fit no projection, values that are not numbers, and methods other than LoRA.
"""

from __future__ import annotations

import json
import logging
import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.models.wan_names import authors_name
from ivtutorial.weights.files import read_weights, tensors_of

LORA_FILE = "pytorch_lora_weights.safetensors"
_FILES = (LORA_FILE, "adapter_model.safetensors", "pytorch_lora_weights.bin", "adapter_model.bin")
_PREFIX = re.compile(
    r"^(base_model\.model\.)?(unet\.|diffusion_model\.|transformer\.|model\.|module\.|_orig_mod\.|lora_unet_|"
    r"lora_transformer_)*_?"
)
_SIDES = {"A": "A", "down": "A", "B": "B", "up": "B"}
_MATRIX = re.compile(
    r"^(?P<name>.+?)(_lora)?\.(lora_|lora\.|lora_linear_layer\.)?(?P<side>A|B|down|up)(\.\w+)*\.weight$"
)
_ALPHA = re.compile(r"^(?P<name>.+?)(_lora)?\.alpha$")
_OTHERS = (
    (r"dora_scale|lora_magnitude_vector", "DoRA, which also scales the rows of W"),
    (r"hada_w|lokr_w|lora_mid|oft_|ia3_", "LyCORIS or IA3, not plain LoRA"),
    (r"_lora\.(down|up)_linear", "a checkpoint of the authors: run `ivtutorial convert` on it first"),
)
_TEXT = re.compile(r"^(lora_te\d*_|text_encoder(_\d)?\.|base_model\.model\.text_model\.)")
_PATTERN = r"(.*\.)?({})$"  # how PEFT reads a key of alpha_pattern
logger = logging.getLogger(__name__)


def find_adapter(source: str | Path) -> Path:
    """The adapter file in a folder or in the folder of a run, or the file itself.

    A run that has taken all its steps gives its result; of one that has not, the newest checkpoint is used, with a
    warning that names it.

    Raises:
        InputError: there is none, or several without a usual name.
    """
    path = Path(source)
    if path.is_dir():
        folder = _adapter_of_run(path) or path
        named = [folder / name for name in _FILES if (folder / name).is_file()]
        files = named or sorted(folder.glob("*.safetensors"))
        if len(files) > 1 and not named:
            names = ", ".join(file.name for file in files[:5])
            raise InputError(f"{path} holds several files ({names}); give the one that is the adapter.")
        path = files[0] if files else path / LORA_FILE
    if not path.is_file():
        raise InputError(
            f"No adapter at {path}. Give the folder of a run that has a checkpoint, or one that holds {LORA_FILE}."
        )
    return path


def _adapter_of_run(run: Path) -> Path | None:
    """RUN/lora of a run that has ended, else RUN/checkpoints/NEWEST; None where this is not the folder of a run."""
    try:
        newest = run / "checkpoints" / (run / "checkpoints" / "latest").read_text(encoding="utf-8").strip()
        progress = json.loads((newest / "state.json").read_text(encoding="utf-8"))["progress"]
        steps = json.loads((run / "config.json").read_text(encoding="utf-8"))["finetune"]["steps"]
        ended = progress["stopped"] or progress["step"] >= steps
    except (OSError, ValueError, LookupError, TypeError):
        return run / "lora" if (run / "lora").is_dir() else None
    if ended and (run / "lora").is_dir():
        return run / "lora"
    logger.warning("%s has not ended: its newest checkpoint is used, %s of %d steps.", run, newest.name, steps)
    return newest


def read_adapter(path: Path, unet: nn.Module) -> dict[str, Tensor]:
    """The matrices of an adapter: `X.lora_A.weight` (rank, in) and `X.lora_B.weight` (out, rank) of each projection X.

    Args:
        path: file in any of the formats of the module's first lines.
        unet: the model without an adapter.

    Raises:
        InputError: unreadable, not LoRA, half of one, of another model or of a text encoder, quantised, not finite, or
            with settings that are not those of PEFT.
    """
    state = _without_text_encoder(tensors_of(read_weights(path, "LoRA weights"), path, "state_dict"), path)
    matrices, alphas = _sorted_out(state, path)
    modules = _by_name(unet)
    lost = [sides for name, sides in matrices.items() if _layer(modules, name) is None]
    if lost:
        raise _misfit(path, lost[0], f"{len(lost)} of its {len(matrices)} layers are not there: no projection matches ")
    _check_whole(matrices, path)
    settings = _settings(path)
    adapter: dict[str, Tensor] = {}
    for name, sides in matrices.items():
        full = str(_layer(modules, name))
        layer: Any = unet.get_submodule(full)
        if not _fits(layer, sides["A"][1], sides["B"][1]):
            raise _misfit(path, sides, f"its {full} has another shape, {tuple(layer.weight.shape)}; the adapter has ")
        down, up = sides["A"][1], sides["B"][1]
        if f"{full}.lora_A.weight" in adapter:
            raise InputError(f"The adapter {path} has {full} twice, under two names. Keep one of them.")
        if isinstance(layer, nn.Linear):
            down, up = down.flatten(1), up.flatten(1)
        rank = down.shape[0]
        alpha = alphas[name] if name in alphas else _alpha(settings, full, rank)
        root = settings.get("use_rslora", False)
        adapter[f"{full}.lora_A.weight"] = down
        adapter[f"{full}.lora_B.weight"] = up * (alpha / (math.sqrt(rank) if root else rank))
    return adapter


def _without_text_encoder(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The entries of the UNet or transformer; those of a text encoder are counted in a warning."""
    others = {key: tensor for key, tensor in state.items() if not _TEXT.match(key)}
    count = len(state) - len(others)
    if count and not others:
        raise InputError(
            f"The adapter {path} changes the text encoder alone ({count} entries, such as {next(iter(state))}), and "
            "only adapters of the UNet or transformer are loaded. Give one that has entries of it."
        )
    if count:
        logger.warning("%s: the %d entries of the text encoder are not loaded, only those of the UNet.", path, count)
    return others


def _sorted_out(
    state: Mapping[str, Tensor], path: Path
) -> tuple[dict[str, dict[str, tuple[str, Tensor]]], dict[str, float]]:
    """Matrices by projection and side, each with its name in the file, and the alphas by projection."""
    matrices: dict[str, dict[str, tuple[str, Tensor]]] = {}
    alphas: dict[str, float] = {}
    unknown = []
    for key, tensor in state.items():
        method = next((words for pattern, words in _OTHERS if re.search(pattern, key)), None)
        if method is not None:
            raise InputError(f"The adapter {path} is of another kind, {method} (entry {key}). Only LoRA can be loaded.")
        short = _PREFIX.sub("", key).replace(".processor.", ".")
        if match := _MATRIX.match(short):
            sides = matrices.setdefault(match["name"], {})
            side = _SIDES[match["side"]]
            if side in sides:
                raise InputError(f"The adapter {path} has {key} twice, under two names. Keep one of them.")
            _check_floats(key, tensor, path)
            sides[side] = (key, tensor.float())
        elif match := _ALPHA.match(short):
            alphas[match["name"]] = _one_number(key, tensor, path)
        else:
            unknown.append(key)
    if unknown or not matrices:
        names = ", ".join((unknown or list(state))[:3])
        raise InputError(
            f"{path} is not an adapter that can be loaded: {len(unknown)} of its {len(state)} entries are no LoRA "
            f"matrices ({names}). Known are diffusers, PEFT and kohya; a whole model is given as the model instead."
        )
    return matrices, alphas


def _check_floats(key: str, tensor: Tensor, path: Path) -> None:
    if not tensor.is_floating_point():
        kind = str(tensor.dtype).removeprefix("torch.")
        raise InputError(
            f"The adapter {path} is quantised: {key} is stored as {kind}. Matrices are read in float32, float16, "
            "bfloat16 and float8: save it again in one of these."
        )
    _check_finite(key, tensor, path)


def _check_finite(key: str, tensor: Tensor, path: Path) -> None:
    if not bool(torch.isfinite(tensor.float()).all()):
        raise InputError(f"The adapter {path} holds values that are not finite numbers, in {key}. Train it again.")


def _one_number(key: str, tensor: Tensor, path: Path) -> float:
    if tensor.numel() != 1 or tensor.is_complex():
        raise InputError(
            f"The adapter {path} has an alpha that is not one number: {key} is {str(tensor.dtype)} of shape "
            f"{tuple(tensor.shape)}. Save it again with one alpha for each projection."
        )
    _check_finite(key, tensor, path)
    return float(tensor)


def _misfit(path: Path, sides: Mapping[str, tuple[str, Tensor]], reason: str) -> InputError:
    shapes = ", ".join(f"{key} of shape {tuple(tensor.shape)}" for key, tensor in sides.values())
    return InputError(
        f"The adapter {path} does not fit this model: {reason}{shapes}. Load the base model that the adapter was "
        "trained on."
    )


def _check_whole(matrices: Mapping[str, Mapping[str, tuple[str, Tensor]]], path: Path) -> None:
    """Every projection has A and B of one rank."""
    half = [next(iter(sides.values()))[0] for sides in matrices.values() if len(sides) < 2]
    if half:
        raise InputError(
            f"The adapter {path} is half of one: {len(half)} of {len(matrices)} projections have only one of A and B, "
            f"such as {half[0]}. Save it again with both."
        )
    for sides in matrices.values():
        (key, down), (_, up) = sides["A"], sides["B"]
        if down.ndim < 2 or up.ndim < 2 or down.shape[0] != up.shape[1] or not down.shape[0]:
            raise InputError(
                f"The adapter {path} has matrices that do not fit each other: {key} is {tuple(down.shape)} and its B "
                f"{tuple(up.shape)}; expected (rank, in) and (out, rank) of one rank of at least 1."
            )


def _by_name(unet: nn.Module) -> dict[str, str]:
    """Full name of each layer with weights, by its name and by that name with _ for dots."""
    names = [name for name, module in unet.named_modules() if isinstance(getattr(module, "weight", None), Tensor)]
    full = {name: name for name in names}
    full |= {other: name for name in names if (other := authors_name(name)) is not None and other not in full}
    return {name.replace(".", "_"): layer for name, layer in full.items()} | full


def _layer(modules: Mapping[str, str], name: str) -> str | None:
    """The layer that an adapter's name means; older files leave out the 0 of to_out.0."""
    return modules.get(name) or modules.get(f"{name}.0") or modules.get(f"{name}_0")


def _fits(layer: nn.Module, down: Tensor, up: Tensor) -> bool:
    weight: Any = layer.weight
    return weight.ndim >= 2 and down[0].numel() == weight[0].numel() and up.shape[0] == weight.shape[0]


def _settings(path: Path) -> dict[str, Any]:
    """PEFT's settings: from `adapter_config.json` beside its file, or from the metadata that diffusers writes."""
    file = path.parent / "adapter_config.json"
    if path.name.startswith("adapter_model") and not file.is_file():
        logger.warning("%s: no adapter_config.json beside it, so alpha is taken to be the rank (factor 1).", path)
    try:
        if path.name.startswith("adapter_model") and file.is_file():
            settings = json.loads(file.read_text(encoding="utf-8"))
        else:
            settings = json.loads(_metadata(path).get("lora_adapter_metadata", "{}"))
    except (OSError, ValueError) as error:
        raise InputError(f"The settings of the adapter {path} cannot be read ({error}). Save it again.") from error
    if not isinstance(settings, dict):
        raise InputError(f"The settings of the adapter {path} cannot be read (no object with names). Save it again.")
    settings = {re.sub("^(unet|transformer)[.]", "", key): value for key, value in settings.items()}
    if settings.get("peft_type", "LORA") != "LORA" or settings.get("use_dora"):
        method = "DoRA" if settings.get("use_dora") else settings["peft_type"]
        raise InputError(f"The adapter {path} is of another kind, {method}. Only LoRA can be loaded.")
    if problem := _wrong_alpha(settings):
        raise InputError(f"The settings of the adapter {path} cannot be read ({problem}). Save it again.")
    return dict(settings)


def _wrong_alpha(settings: Mapping[str, Any]) -> str | None:
    """What is wrong with the settings that decide the factor, or None."""
    patterns = settings.get("alpha_pattern") or {}
    if not isinstance(patterns, dict):
        return f"alpha_pattern is {json.dumps(patterns)[:40]}, expected an object"
    alphas = {f"alpha_pattern[{name!r}]": alpha for name, alpha in patterns.items()}
    if "lora_alpha" in settings:
        alphas["lora_alpha"] = settings["lora_alpha"]
    for name, alpha in alphas.items():
        is_number = isinstance(alpha, (int, float)) and not isinstance(alpha, bool)
        if not is_number or not abs(alpha) <= sys.float_info.max:
            return f"{name} is {json.dumps(alpha)[:40]}, expected a number"
    try:
        for pattern in patterns:
            re.compile(_PATTERN.format(pattern))
    except re.error as error:
        return f"alpha_pattern holds {pattern!r}, which is no pattern: {error}"
    return None


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    if path.suffix != ".safetensors":
        return {}
    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def _alpha(settings: Mapping[str, Any], name: str, rank: int) -> float:
    patterns: Mapping[str, float] = settings.get("alpha_pattern") or {}
    for pattern, alpha in patterns.items():
        if name == pattern or re.match(_PATTERN.format(pattern), name):
            return float(alpha)
    return float(settings.get("lora_alpha", rank))
