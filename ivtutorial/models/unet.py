"""The video UNet: diffusers' `UNet3DConditionModel` plus the two things fine-tuning needs.

The stock class has neither adapters nor recomputing. `VideoUNet` adds both, computes the same blocks faster
(`ivtutorial.models.fast_blocks`) and changes nothing else: the same configuration, the same weight names, to rounding
the same numbers. What it saves is a stock UNet, so a folder written here opens with
`UNet3DConditionModel.from_pretrained`, and a stock folder opens with `VideoUNet.from_pretrained`.

Where it differs from the authors' code: their residual blocks have dropout 0.1 in train mode, these have none
(the temporal convolutions have 0.1 in both).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import torch
from diffusers.loaders import PeftAdapterMixin
from diffusers.models.resnet import ResnetBlock2D, TemporalConvLayer
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from diffusers.models.unets.unet_3d_condition import UNet3DConditionModel
from diffusers.utils import set_weights_and_activate_adapters
from torch.utils.checkpoint import checkpoint as recomputed

from ivtutorial.errors import InputError
from ivtutorial.models.fast_blocks import install

# One recomputed piece per block of these classes: coarse enough to be cheap, so fine that the peak is one block.
RECOMPUTED_BLOCKS = (ResnetBlock2D, TemporalConvLayer, Transformer2DModel, TransformerTemporalModel)


class VideoUNet(UNet3DConditionModel, PeftAdapterMixin):
    """Predicts noise (or velocity) from noisy video latents, a timestep and prompt embeddings.

    Use it like the stock class. In addition `add_adapter`, `load_lora_adapter` and a pipeline's
    `load_lora_weights` work, and `enable_gradient_checkpointing()` recomputes each ResNet, temporal
    convolution and (spatial or temporal) transformer in the backward pass instead of storing what is inside.
    Random state is preserved, so dropout masks, outputs and gradients are those of the plain pass.

    Example:
        >>> unet = VideoUNet.from_pretrained("my-pipeline/unet")  # doctest: +SKIP
        >>> unet.enable_gradient_checkpointing()  # doctest: +SKIP
        >>> noise = unet(z, t, encoder_hidden_states=embeds).sample  # doctest: +SKIP
    """

    _supports_gradient_checkpointing = True
    gradient_checkpointing = False

    @wraps(UNet3DConditionModel.__init__)  # type: ignore[misc]  # diffusers reads the configuration's names off the signature
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        install(self)

    @property
    def dtype(self) -> torch.dtype:
        """Of the frozen weights. The stock class walks through all modules to find it, milliseconds a pass."""
        return self.conv_in.weight.dtype

    def forward(self, sample: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        """As the stock class; attention also learns how many frames share a caption."""
        kwargs["cross_attention_kwargs"] = {"frames": sample.shape[2], **(kwargs.get("cross_attention_kwargs") or {})}
        return super().forward(sample, *args, **kwargs)

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Callable[..., Any] | None = None
    ) -> None:
        """Wrap (or unwrap) the forward of every recomputed block; called by diffusers' public methods."""
        self.gradient_checkpointing = enable
        for module in self.modules():
            if isinstance(module, RECOMPUTED_BLOCKS):
                module.__dict__.pop("forward", None)
                if enable:
                    # Set on the instance: the class stays stock, and nothing in the stock block code changes.
                    module.forward = partial(_recomputed, module.forward)

    def set_adapters(
        self, adapter_names: str | Sequence[str], weights: float | Sequence[float | None] | None = None
    ) -> None:
        """Use these adapters with these weights (default 1); a pipeline's `set_adapters` calls this.

        diffusers before 0.42 knows only the classes of its own table here and fails with a KeyError.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        scales = list(weights) if isinstance(weights, Sequence) else [weights] * len(names)
        if len(scales) != len(names):
            raise InputError(f"{len(names)} adapters need as many weights, got {len(scales)}.")
        set_weights_and_activate_adapters(self, names, [1.0 if scale is None else scale for scale in scales])

    def to_json_string(self) -> str:
        """The configuration as JSON, under the stock class name so that stock diffusers opens it."""
        config = json.loads(super().to_json_string())
        config["_class_name"] = UNet3DConditionModel.__name__
        return json.dumps(config, indent=2, sort_keys=True) + "\n"


def _recomputed(forward: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a block's forward, recomputed wherever a gradient is being recorded."""
    if not torch.is_grad_enabled():
        return forward(*args, **kwargs)
    return recomputed(forward, *args, use_reentrant=False, preserve_rng_state=True, **kwargs)
