"""ImageReward, the paper's other reward (supplement H): BLIP reads frame and caption together, a small head scores.

    r(x, c) = (h(t_1(c, v(x))) - 0.1672) / 1.0333        v BLIP's ViT-L/16, t_1 the first token of its text encoder,
                                                         which looks at the picture in every layer, h a linear head

Scores of real pictures have mean 0 and standard deviation 1. The published package no longer runs with current
libraries, so its weights are put into transformers' BLIP here, by the names of `from_published`.

Frame and caption are not encoded apart, so no text feature can be computed once and kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ivtutorial.checks import check_frames
from ivtutorial.errors import InputError, first_line
from ivtutorial.rewards.aesthetic import score_head
from ivtutorial.rewards.caption_limit import CaptionLimit
from ivtutorial.rewards.preprocess import fit, normalise
from ivtutorial.weights.files import fill, read_weights, tensors_of
from ivtutorial.weights.hub import local_or_hub

HUB_NAME, FILE = "THUDM/ImageReward", "ImageReward.pt"
VOCABULARY = "google-bert/bert-base-uncased"
MEAN, STD = 0.16717362830052426, 1.0333394966054072
LENGTH = 35  # tokens of a caption; longer ones are cut
# BLIP-large: a ViT-L/16 at 224 pixels, and BERT-base with two more tokens and cross-attention in every layer.
VISION = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "patch_size": 16, "image_size": 224, "layer_norm_eps": 1e-6,
}  # fmt: skip
TEXT = {
    "vocab_size": 30524, "hidden_size": 768, "encoder_hidden_size": 1024, "intermediate_size": 3072,
    "num_hidden_layers": 12, "num_attention_heads": 12, "max_position_embeddings": 512, "layer_norm_eps": 1e-12,
}  # fmt: skip

_VISION_NAMES = (
    (r"^blip\.visual_encoder\.cls_token$", "vision.embeddings.class_embedding"),
    (r"^blip\.visual_encoder\.pos_embed$", "vision.embeddings.position_embedding"),
    (r"^blip\.visual_encoder\.patch_embed\.proj\.", "vision.embeddings.patch_embedding."),
    (r"^blip\.visual_encoder\.norm\.", "vision.post_layernorm."),
    (r"^blip\.visual_encoder\.blocks\.(\d+)\.norm([12])\.", r"vision.encoder.layers.\1.layer_norm\2."),
    (r"^blip\.visual_encoder\.blocks\.(\d+)\.attn\.qkv\.", r"vision.encoder.layers.\1.self_attn.qkv."),
    (r"^blip\.visual_encoder\.blocks\.(\d+)\.attn\.proj\.", r"vision.encoder.layers.\1.self_attn.projection."),
    (r"^blip\.visual_encoder\.blocks\.(\d+)\.mlp\.", r"vision.encoder.layers.\1.mlp."),
    (r"^blip\.text_encoder\.", "text."),
    (r"^mlp\.layers\.", "head."),
)
# Parts of the published file that scoring does not use.
_UNUSED = re.compile(
    r"^blip\.(text_decoder|vision_proj|text_proj|itm_head|.*_m|temp|.*queue.*)(\.|$)|position_ids$|pooler"
)


class BlipReward(nn.Module):
    """Score frames by ImageReward; an `ImageReward`, frozen, with gradient to the frames."""

    def __init__(
        self,
        tokenizer: Callable[..., Any],
        vision: Mapping[str, Any] | None = None,
        text: Mapping[str, Any] | None = None,
    ) -> None:
        """Build the network with random weights; `load_imagereward` fills it.

        Args:
            tokenizer: BERT's, of transformers.
            vision: settings of a `BlipVisionConfig`, default those of ImageReward.
            text: settings of a `BlipTextConfig`, default those of ImageReward.
        """
        from transformers import BlipTextConfig, BlipVisionConfig
        from transformers.models.blip.modeling_blip import BlipVisionModel
        from transformers.models.blip.modeling_blip_text import BlipTextModel

        super().__init__()
        settings = BlipTextConfig(**(text or TEXT), is_decoder=True)  # which gives it cross-attention
        self.vision = BlipVisionModel(BlipVisionConfig(**(vision or VISION)))
        self.text = BlipTextModel(settings, add_pooling_layer=False)
        self.head = score_head(settings.hidden_size)
        self.tokenizer = tokenizer
        self._limit = CaptionLimit("ImageReward", LENGTH)
        self.eval().requires_grad_(False)

    def forward(self, frames: Tensor, captions: Sequence[str]) -> Tensor:
        """ImageReward of each frame with its caption; arguments and result as `ImageReward`."""
        check_frames(frames, captions)
        images = normalise(fit(frames, self.vision.config.image_size, "clip"))
        seen = self.vision(pixel_values=images.to(self._dtype)).last_hidden_state
        words = self._tokens(captions, frames.device)
        read = self.text(**words, encoder_hidden_states=seen, is_decoder=False).last_hidden_state
        with torch.autocast(frames.device.type, enabled=False):  # it would compute the head in half precision
            scores: Tensor = self.head(read[:, 0].float()).squeeze(-1)
        return (scores - MEAN) / STD

    def train(self, mode: bool = True) -> BlipReward:
        """Stay in eval mode, without dropout."""
        return super().train(False)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.vision.parameters()).dtype

    def _tokens(self, captions: Sequence[str], device: torch.device) -> dict[str, Tensor]:
        different = list(dict.fromkeys(captions))
        self._limit.check(different, [len(ids) for ids in self.tokenizer(different, verbose=False)["input_ids"]])
        tokens = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
        )
        return {name: tokens[name].to(device) for name in ("input_ids", "attention_mask")}


def from_published(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """ImageReward's published weights under the names of `BlipReward`; what scoring does not use is left out.

    Raises:
        InputError: a name that is neither the network's nor on the list of unused ones.
    """
    renamed = {}
    for name, tensor in state.items():
        if _UNUSED.search(name):
            continue
        for pattern, new in _VISION_NAMES:
            new_name, count = re.subn(pattern, new, name)
            if count:
                renamed[new_name] = tensor
                break
        else:
            raise InputError(f"The weight {name!r} has no place in ImageReward. Give its own file, {FILE}.")
    return renamed


def load_imagereward(
    path: str | Path | None = None, vocabulary: str | Path | None = None, dtype: torch.dtype = torch.float32
) -> BlipReward:
    """ImageReward v1.0, on the CPU.

    Args:
        path: the published file `ImageReward.pt`, its folder, a hub name, or None for `THUDM/ImageReward`.
        vocabulary: folder or hub name of the tokenizer of bert-base-uncased; None downloads it (under 1 MB).
        dtype: of the two encoders; the head stays float32.

    Raises:
        InputError: no such file or download, or a file that does not hold this model; missing weights are named.
    """
    file = local_or_hub(path, FILE, HUB_NAME, "ImageReward checkpoint")
    state = from_published(tensors_of(read_weights(file, "ImageReward weights"), file, "state_dict"))
    reward = BlipReward(_bert_tokenizer(vocabulary or VOCABULARY))
    fill(reward, state, file, "ImageReward")
    reward.vision.to(dtype)
    reward.text.to(dtype)
    return reward


def _bert_tokenizer(path: str | Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(path)
    except Exception as error:  # the hub's errors, OSError, and those of the HTTP library
        raise InputError(
            f"Cannot open BERT's tokenizer {path} ({first_line(error)}). ImageReward reads captions "
            "with it: check the connection, or give a folder with its vocab.txt."
        ) from error
