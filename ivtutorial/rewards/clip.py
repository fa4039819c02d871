"""A CLIP image reward: the cosine between a frame and its caption, as HPSv2 uses it (Sec. 3.2.2).

    r(x, c) = scale * <f(x) / |f(x)|, g(c) / |g(c)|>        f image tower, g text tower, scale 1 for HPSv2

The model is any open_clip model: HPSv2's ViT-H-14, or the small one of the reduced world; models of transformers are
dressed as one by `ivtutorial.rewards.transformers_clip`. It is frozen; gradients flow through the frames only. How a
frame is brought to the model's size: see `ivtutorial.rewards.preprocess`.

Every caption is encoded once. When all captions of a run have been, `offload_text` moves the text tower off the GPU.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ivtutorial.checks import check_captions, check_frames
from ivtutorial.errors import InputError
from ivtutorial.rewards.caption_limit import CaptionLimit, count_tokens
from ivtutorial.rewards.preprocess import check_preprocessing, fit, normalise
from ivtutorial.system.quiet import no_warnings

CONFIG_FILE = "open_clip_config.json"
WEIGHTS_FILE = "open_clip_model.safetensors"


class ClipReward(nn.Module):
    """Score frames by their CLIP cosine with the caption; an `ImageReward`.

    Example:
        >>> reward = ClipReward.from_folder("data/models/reward")  # doctest: +SKIP
        >>> reward(frames, ["a spotted deer trotting across the snow"] * len(frames))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        model_config: dict[str, Any],
        preprocessing: str = "official",
        antialias: bool = True,
        scale: float = 1.0,
    ) -> None:
        """Wrap an open_clip model.

        Args:
            model: with `encode_image`, `encode_text` and `visual`; it is frozen and put into eval mode.
            tokenizer: list of N strings -> (N, L) token ids.
            model_config: open_clip's `model_cfg` of the model, needed by `save`.
            preprocessing: "official", "hpsv2" or "clip", see `ivtutorial.rewards.preprocess`.
            antialias: whether resizing filters before it shrinks.
            scale: factor of the cosine; 1 for HPSv2, CLIP's logit scale (near 100) for PickScore.

        Raises:
            InputError: unknown preprocessing.
        """
        super().__init__()
        check_preprocessing(preprocessing)
        visual: Any = model.visual
        self.model: Any = model.eval().requires_grad_(False)
        self.tokenizer, self.model_config = tokenizer, model_config
        self.preprocessing, self.antialias, self.scale = preprocessing, antialias, scale
        size = visual.image_size
        self.image_size: int = size if isinstance(size, int) else size[0]
        # Numbers, not buffers: a reward in half precision still normalises in the precision of the frames.
        self.mean, self.std = _three(visual.image_mean), _three(visual.image_std)
        self._text_features: dict[str, Tensor] = {}
        self._limit: CaptionLimit | None = None

    def forward(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        """Scaled cosine of each frame with its caption; arguments and result as `ImageReward`."""
        check_frames(frames, captions)
        return self.scale * (self.image_features(frames) * self.text_features(captions)).sum(dim=-1)

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
                tokens = self.tokenizer(new).to(self._text_device)
                self._warn_of_long(new, tokens.shape[-1])
                features = F.normalize(self.model.encode_text(tokens).float(), dim=-1)
            self._text_features.update(zip(new, features, strict=True))
        for caption in dict.fromkeys(captions):  # they stay where the frames are scored, and follow the image tower
            self._text_features[caption] = self._text_features[caption].to(self.device)
        return torch.stack([self._text_features[caption] for caption in captions])

    def _warn_of_long(self, captions: Sequence[str], tokens: int) -> None:
        self._limit = self._limit or CaptionLimit("this reward", tokens)
        self._limit.check(captions, [count_tokens(self.tokenizer, caption) for caption in captions])

    def offload_text(self, device: str | torch.device = "cpu") -> None:
        """Move all but the image tower to another device: captions already encoded need it no more.

        New captions are then encoded there, slowly. `to` brings everything together again.
        """
        for name, part in self.model.named_children():
            if name != "visual":
                part.to(device)
        for name, parameter in list(self.model._parameters.items()):
            setattr(self.model, name, nn.Parameter(parameter.to(device), requires_grad=False))
        for name, buffer in list(self.model._buffers.items()):
            setattr(self.model, name, buffer.to(device))

    def preprocess(self, frames: Tensor) -> Tensor:
        """Frames (N, 3, H, W) in [0, 1] -> normalised images (N, 3, S, S), S the model's image size."""
        return normalise(fit(frames, self.image_size, self.preprocessing, self.antialias), self.mean, self.std)

    def train(self, mode: bool = True) -> ClipReward:
        """Stay in eval mode: the reward is a fixed judge, whatever its surroundings do."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        """Where the image tower is, and scores are computed."""
        return next(self.model.visual.parameters()).device

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.model.visual.parameters()).dtype

    @property
    def _text_device(self) -> torch.device:
        return next(p for name, p in self.model.named_parameters() if not name.startswith("visual.")).device

    @classmethod
    def from_folder(
        cls, folder: str | Path, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> ClipReward:
        """Open a folder that `save` wrote, or any open_clip "local-dir" folder.

        Args:
            folder: see above.
            device: where to put the model.
            dtype: of the weights in memory; scores are float32 in any case.

        Raises:
            InputError: no such folder, or its files cannot be used together.
        """
        import open_clip

        config = _read_config(Path(folder))
        weights = _require_safetensors(Path(folder))
        try:
            with no_warnings():
                model = open_clip.create_model(f"local-dir:{folder}", load_weights=False, pretrained_text=False)
            open_clip.load_checkpoint(model, str(weights))
            tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
        except Exception as error:  # open_clip and tokenizers raise anything, bare Exception included
            raise InputError(f"{folder} does not hold a usable open_clip model ({error}). Copy it again.") from error
        options = config.get("ivtutorial_reward", {})
        return cls(model.to(dtype), tokenizer, config["model_cfg"], **options).to(device)

    def save(self, folder: str | Path, dtype: torch.dtype | None = None) -> Path:
        """Write weights, configuration and tokenizer; open_clip's "local-dir:" and `from_folder` open them.

        Args:
            folder: made if absent; weights and configuration are replaced atomically.
            dtype: of the stored weights, e.g. torch.float16; default as in memory.

        Returns:
            The folder.
        """
        from safetensors.torch import save

        from ivtutorial.system.files import atomic_write, atomic_write_text

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
                "mean": list(self.mean),
                "std": list(self.std),
                "interpolation": "bilinear" if self.preprocessing == "official" else "bicubic",
                "resize_mode": "longest" if longest else "shortest",
            },
            "ivtutorial_reward": {
                "preprocessing": self.preprocessing,
                "antialias": self.antialias,
                "scale": self.scale,
            },
        }


def _three(values: Sequence[float]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


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
