"""A CLIP image reward: the cosine between a frame and its caption, as HPSv2 uses it (Sec. 3.2.2).

    r(x, c) = <f(x) / |f(x)|, g(c) / |g(c)|>        f image tower, g text tower, without CLIP's logit scale

The model is any open_clip model: HPSv2's ViT-H-14, or the small one of the reduced world. It is frozen;
gradients flow through the frames only. Two ways to bring a frame to the model's size, both differentiable:

- "official": what the authors train with. Shorter side to the model's size, bilinear. They do not crop, so
  that frames which are not square crash; here the centre is cropped.
- "hpsv2": what the hpsv2 package scores with. Longer side to the model's size, bicubic, the rest padded with
  black (before the normalisation). It crashes where the longer side already fits; this does not.

`antialias` is on, as in torchvision since 0.17; the authors' installation had none.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.rewards.base import check_captions, check_frames

PREPROCESSING = ("official", "hpsv2")
HPSV2_VERSIONS = ("v2.0", "v2.1")
CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"


class ClipReward(nn.Module):
    """Score frames by their CLIP cosine with the caption; an `ImageReward`.

    Example:
        >>> reward = ClipReward.from_folder("data/models/reward")
        >>> reward(frames, ["a spotted deer trotting across the snow"] * len(frames))  # (N,)
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        model_config: dict[str, Any],
        preprocessing: str = "official",
        antialias: bool = True,
    ) -> None:
        """Wrap an open_clip model.

        Args:
            model: with `encode_image`, `encode_text` and `visual`; it is frozen and put into eval mode.
            tokenizer: list of N strings -> (N, L) token ids.
            model_config: open_clip's `model_cfg` of the model, needed by `save`.
            preprocessing: "official" or "hpsv2", see the module.
            antialias: whether resizing filters before it shrinks.

        Raises:
            InputError: unknown preprocessing.
        """
        super().__init__()
        if preprocessing not in PREPROCESSING:
            raise InputError(f"Unknown preprocessing {preprocessing!r}. Choose one of {', '.join(PREPROCESSING)}.")
        visual: Any = model.visual
        self.model: Any = model.eval().requires_grad_(False)
        self.tokenizer, self.model_config = tokenizer, model_config
        self.preprocessing, self.antialias = preprocessing, antialias
        size = visual.image_size
        self.image_size: int = size if isinstance(size, int) else size[0]
        self.register_buffer("mean", _per_channel(visual.image_mean), persistent=False)
        self.register_buffer("std", _per_channel(visual.image_std), persistent=False)
        self._text_features: dict[str, Tensor] = {}

    def forward(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        """Cosine of each frame with its caption; arguments and result as `ImageReward`."""
        check_frames(frames, captions)
        return (self.image_features(frames) * self.text_features(captions)).sum(dim=-1)

    def image_features(self, frames: Tensor) -> Tensor:
        """Unit image features (N, E), float32, of frames (N, 3, H, W) in [0, 1]; differentiable."""
        images = self.preprocess(frames).to(self._dtype)
        return F.normalize(self.model.encode_image(images).float(), dim=-1)

    def text_features(self, captions: Sequence[str]) -> Tensor:
        """Unit text features (N, E), float32, of N captions; each caption is encoded once and remembered."""
        check_captions(captions)
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._text_features]
        if new:
            with torch.no_grad():
                tokens = self.tokenizer(new).to(self.mean.device)
                features = F.normalize(self.model.encode_text(tokens).float(), dim=-1)
            # Kept on the CPU, so that moving the reward to another device leaves them valid.
            self._text_features.update(zip(new, features.cpu(), strict=True))
        return torch.stack([self._text_features[caption] for caption in captions]).to(self.mean.device)

    def preprocess(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [0, 1] -> normalised images (N, 3, S, S), S the model's image size."""
        if self.preprocessing == "official":
            images = resize_and_crop(frames.clamp(0, 1), self.image_size, self.antialias)
        else:
            images = resize_and_pad(frames, self.image_size, self.antialias)
        return (images - self.mean) / self.std

    def train(self, mode: bool = True) -> ClipReward:
        """Stay in eval mode: the reward is a fixed judge, whatever its surroundings do."""
        return super().train(False)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    @classmethod
    def from_folder(cls, folder: str | Path, device: str | torch.device = "cpu") -> ClipReward:
        """Open a folder that `save` wrote, or any open_clip "local-dir" folder, in float32.

        Raises:
            InputError: no such folder, or its files cannot be used together.
        """
        import open_clip

        config = _read_config(Path(folder))
        weights = _require_safetensors(Path(folder))
        try:
            with _no_warnings():
                model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
            open_clip.load_checkpoint(model, str(weights))
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        except Exception as error:  # open_clip and tokenizers raise anything, bare Exception included
            raise InputError(f"{folder} does not hold a usable open_clip model ({error}). Copy it again.") from error
        return cls(model, tokenizer, config["model_cfg"], **config.get("ivtutorial_reward", {})).to(device)

    def save(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write weights, configuration and tokenizer; open_clip's "local-dir:" and `from_folder` open them.

        Args:
            folder: made if absent; weights and configuration are replaced atomically.
            dtype: of the stored weights, e.g. torch.float16; default as in memory.

        Returns:
            The folder.
        """
        from safetensors.torch import save

        from ivtutorial.files import atomic_write, atomic_write_text

        folder = Path(folder)
        state = {k: v.detach().to("cpu", dtype).contiguous() for k, v in self.model.state_dict().items()}
        with atomic_write(folder / WEIGHTS_FILE) as file:
            file.write(save(state, metadata={"format": "pt"}))
        if hasattr(self.tokenizer, "save_pretrained"):
            self.tokenizer.save_pretrained(str(folder))
        atomic_write_text(folder / CONFIG_FILE, json.dumps(self._config(), indent=2) + "\n")
        return folder

    def _config(self) -> dict[str, Any]:
        # open_clip reads the first two entries and ignores the third, which is ours.
        model_cfg = json.loads(json.dumps(self.model_config))
        if hasattr(self.tokenizer, "tokenizer"):
            # Any name will do: for a local folder open_clip reads the tokenizer from the folder itself.
            model_cfg["text_cfg"].setdefault("hf_tokenizer_name", "local")
        longest = self.preprocessing == "hpsv2"
        return {
            "model_cfg": model_cfg,
            "preprocess_cfg": {
                "mean": self.mean.flatten().tolist(),
                "std": self.std.flatten().tolist(),
                "interpolation": "bicubic" if longest else "bilinear",
                "resize_mode": "longest" if longest else "shortest",
            },
            "ivtutorial_reward": {"preprocessing": self.preprocessing, "antialias": self.antialias},
        }


def load_hpsv2(
    checkpoint: str | Path,
    version: str = "v2.0",
    preprocessing: str = "official",
    dtype: torch.dtype = torch.float32,
) -> ClipReward:
    """The HPSv2 reward from its checkpoint file (a ViT-H-14 of open_clip, stored as {"state_dict": ...}).

    Args:
        checkpoint: `HPS_v2_compressed.pt` or `HPS_v2.1_compressed.pt`.
        version: "v2.0", with which the paper trains and reports, or "v2.1". Same architecture.
        preprocessing: "official" to train as the authors do, "hpsv2" for the scores of the hpsv2 package.
        dtype: of the weights in memory.

    Raises:
        InputError: unknown version, no such file, or a file that does not hold this model.
    """
    import open_clip

    if version not in HPSV2_VERSIONS:
        raise InputError(f"Unknown HPSv2 version {version!r}. Choose one of {', '.join(HPSV2_VERSIONS)}.")
    state = _read_checkpoint(Path(checkpoint))
    name = "ViT-H-14"
    with _no_warnings():
        model = open_clip.create_model(name)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{checkpoint} does not hold the {name} of HPSv2 {version} ({error}).") from error
    config = open_clip.get_model_config(name)
    return ClipReward(model.to(dtype), open_clip.get_tokenizer(name), config, preprocessing)


def resize_and_crop(frames: Tensor, size: int, antialias: bool = True) -> Tensor:
    """Shorter side of (N, 3, H, W) to `size`, bilinear, then the central (N, 3, size, size)."""
    h, w = frames.shape[-2:]
    short = min(h, w)
    if short != size:
        # int() as torchvision does: the longer side is truncated, not rounded.
        frames = _resize(frames, int(size * h / short), int(size * w / short), "bilinear", antialias)
    top, left = (frames.shape[-2] - size) // 2, (frames.shape[-1] - size) // 2
    return frames[..., top : top + size, left : left + size]


def resize_and_pad(frames: Tensor, size: int, antialias: bool = True) -> Tensor:
    """Longer side of (N, 3, H, W) to `size`, bicubic (may leave [0, 1]); centred on a black square."""
    h, w = frames.shape[-2:]
    scale = size / max(h, w)
    if scale != 1:
        frames = _resize(frames, round(h * scale), round(w * scale), "bicubic", antialias)
    pad_h, pad_w = size - frames.shape[-2], size - frames.shape[-1]
    return F.pad(frames, (pad_w // 2, pad_w - pad_w // 2, pad_h // 2, pad_h - pad_h // 2))


def _resize(frames: Tensor, h: int, w: int, mode: str, antialias: bool) -> Tensor:
    return F.interpolate(frames, size=(h, w), mode=mode, align_corners=False, antialias=antialias)


@contextmanager
def _no_warnings() -> Iterator[None]:
    """open_clip warns that a model has random weights; here they are read right afterwards, and checked."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _per_channel(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).reshape(1, 3, 1, 1)


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"No readable reward model in {folder} ({error}). Give a folder with {CONFIG_FILE}."
        ) from error
    if "model_cfg" not in config:
        raise InputError(f"{path} has no 'model_cfg'. Give a folder that ClipReward.save or open_clip wrote.")
    return dict(config)


def _require_safetensors(folder: Path) -> Path:
    for name in (WEIGHTS_FILE, "open_clip_pytorch_model.safetensors", "model.safetensors"):
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"No safetensors weights in {folder}. Give a folder that holds {WEIGHTS_FILE}.")


def _read_checkpoint(path: Path) -> dict[str, Tensor]:
    import pickle

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return dict(content["state_dict"])
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is not a readable HPSv2 checkpoint ({error}). Download it again.") from error
