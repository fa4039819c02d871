"""The UNet's blocks with their stock weights and another order of work, for speed.

| part | stock | here |
|---|---|---|
| layout on a CPU | (N, C, H, W) | channels last in memory: tokens and images are views of each other |
| temporal convolution | `conv3d` (3, 1, 1) | `conv2d` (3, 1) over frames and positions |
| attention to the caption | keys and values of each frame | of each clip; on a CPU all heads in one product |
| attention in bf16 on a CPU | fused kernel | two products and a softmax, where there are few tokens |
| tokens on a GPU | a view of images, hence a small product for each frame or position | in order, hence one product |
| GEGLU on a CPU | halves of one projection | two projections; in bf16 without gradient, GELU and product inside them |

All of it is exact: in float32 output and gradients are the stock ones to rounding, about 1e-6 of their size. bf16 is
another matter, about 1 % a pass, and is chosen elsewhere (`ivtutorial.models.precision`).

On a GPU blocks work in the stock layout. Whether channels last, another kernel for attention, or CUDA graphs pay there
is what rows of these names in `benchmarks/on_a_gpu.py` measure.

`install` changes the class of blocks, nothing else: parameters, names, adapters and files are those of the stock
classes, of which these are subclasses. A block falls back to its stock forward pass where it meets what it does not
know. In train mode dropout draws the same masks as in the stock classes.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.activations import GEGLU
from diffusers.models.attention_processor import Attention, AttnProcessor2_0
from diffusers.models.resnet import TemporalConvLayer
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.transformers.transformer_temporal import TransformerTemporalModel
from torch import Tensor, nn
from torch.nn import functional

FEW_SCORES = 64 * 64  # of one head: up to here the scores fit into memory easily
SHORT_ROW = 32  # numbers of bf16 in a vector of the processor: the softmax of shorter rows is faster in float32
MOST_SEQUENCES = 2**16 - 1  # that a kernel of CUDA takes: a clip of 512x512 pixels has 4096 in its first level
_LAST = torch.channels_last


class LastConv(nn.Conv2d):
    """A convolution whose output, on a CPU, has its channels last in memory, and so has everything after it."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C', H, W)."""
        return super().forward(x.contiguous(memory_format=_LAST) if x.device.type == "cpu" else x)


class FramewiseConv(TemporalConvLayer):
    """Four convolutions along time with kernel (3, 1), over the image of frames and positions."""

    def forward(self, hidden_states: Tensor, num_frames: int = 1) -> Tensor:
        """(B * F, C, H, W) -> the same shape."""
        stages = (self.conv1, self.conv2, self.conv3, self.conv4)
        if any(type(stage[-1]) is not nn.Conv3d for stage in stages):
            stock: Tensor = super().forward(hidden_states, num_frames)
            return stock
        x = y = _frames_by_positions(hidden_states, num_frames)
        for norm, _, *dropout, conv in stages:
            y = functional.silu(norm(y), inplace=not torch.is_grad_enabled())
            if dropout and self.training:  # in the stock order of memory, hence with the stock mask
                y = dropout[0](y.contiguous())
            y = functional.conv2d(y, conv.weight.squeeze(-1), conv.bias, padding=(1, 0))
        return _images(x + y, hidden_states.shape)


class SpatialTransformer(Transformer2DModel):
    """Attention over the positions of each frame, and to the caption; tokens are views of channels-last images."""

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        cross_attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
        **rest: Any,
    ) -> Any:
        """(N, C, H, W) and (N, L, E) -> (N, C, H, W), in a tuple unless `return_dict`."""
        if return_dict or rest:
            return super().forward(
                hidden_states,
                encoder_hidden_states,
                cross_attention_kwargs=cross_attention_kwargs,
                return_dict=return_dict,
                **rest,
            )
        height, width = hidden_states.shape[2:]
        x = self.norm(hidden_states)
        x = _tokens(x if self.use_linear_projection else self.proj_in(x))
        x = self.proj_in(x) if self.use_linear_projection else x
        for block in self.transformer_blocks:
            x = block(x, encoder_hidden_states=encoder_hidden_states, cross_attention_kwargs=cross_attention_kwargs)
        x = self.proj_out(x) if self.use_linear_projection else x
        x = x.unflatten(1, (height, width)).permute(0, 3, 1, 2)
        return (hidden_states + (x if self.use_linear_projection else self.proj_out(x)),)  # in the layout of the first


class TemporalTransformer(TransformerTemporalModel):
    """Attention of each position over the frames, with one copy into that order and none back."""

    def forward(
        self,
        hidden_states: Tensor,
        num_frames: int = 1,
        cross_attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = True,
        **rest: Any,
    ) -> Any:
        """(B * F, C, H, W) -> the same shape, in a tuple unless `return_dict`."""
        if return_dict or rest:
            return super().forward(
                hidden_states,
                num_frames=num_frames,
                cross_attention_kwargs=cross_attention_kwargs,
                return_dict=return_dict,
                **rest,
            )
        x = _frames_by_positions(hidden_states, num_frames)
        y = self.norm(x).permute(0, 3, 2, 1).flatten(0, 1).contiguous()  # (B * H * W, F, C)
        y = self.proj_in(y)
        for block in self.transformer_blocks:
            y = block(y, cross_attention_kwargs=cross_attention_kwargs)
        y = self.proj_out(y).unflatten(0, (len(x), -1)).permute(0, 3, 2, 1)
        return (_images(x + y, hidden_states.shape),)


class SplitGEGLU(GEGLU):
    """value * GELU(gate) with both projected apart, because halves of rows cannot use the fast kernels."""

    def forward(self, hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """(..., C) -> (..., C')."""
        if hidden_states.device.type != "cpu" or type(self.proj) is not nn.Linear:
            stock: Tensor = super().forward(hidden_states, *args, **kwargs)
            return stock
        weights, biases = self.proj.weight.chunk(2), self.proj.bias.chunk(2)
        if _can_fuse(hidden_states, self.proj.weight):
            x, fused = hidden_states.flatten(0, -2), torch.ops.mkldnn._linear_pointwise
            gate = fused(x, weights[1], biases[1], "gelu", [], "none")
            product: Tensor = fused.binary(x, gate, weights[0], biases[0], "mul")
            return product.unflatten(0, hidden_states.shape[:-1])
        value, gate = (functional.linear(hidden_states, w, b) for w, b in zip(weights, biases, strict=True))
        return value * functional.gelu(gate)


class ClipAttention(AttnProcessor2_0):
    """Attention for diffusers' `Attention` that knows which frames share a caption.

    Where `frames` is given, the caption's keys and values are made once a clip, not once a frame: the UNet repeats the
    caption's states for every frame.
    """

    def __call__(  # type: ignore[override]
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        frames: int | None = None,
    ) -> Tensor:
        """(N, T, C), and (N, L, E) of a caption -> (N, T, C)."""
        if attention_mask is not None or hidden_states.ndim != 3 or not _is_plain(attn):
            stock: Tensor = super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask, temb)
            return stock
        shape = hidden_states.shape
        source = hidden_states
        if encoder_hidden_states is not None:
            source = encoder_hidden_states[:: frames or 1].contiguous()
            hidden_states = hidden_states.reshape(len(source), -1, shape[-1])
        query, key, value = attn.to_q(hidden_states), attn.to_k(source), attn.to_v(source)
        if query.device.type == "cpu" and len(source) < shape[0]:
            result = attend_in_one(query, key, value, attn.heads)
        else:
            heads = (tensor.unflatten(-1, (attn.heads, -1)).transpose(1, 2) for tensor in (query, key, value))
            result = _attend(*heads).transpose(1, 2).flatten(2)
        result = attn.to_out[1](attn.to_out[0](result))
        return result.view(shape)


def attend_in_one(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """Attention of all heads in two products, for many queries and few keys.

    Each key is repeated for every head with zeros in the other heads' channels, so that one product of rows (T, C) and
    (heads * L, C) makes the scores of all heads, and no tensor changes its order in memory.

    Args:
        query: (B, T, C).
        key: (B, L, C).
        value: (B, L, C).
        heads: how many share the C channels.

    Returns:
        (B, T, C). The softmax is computed in float32.
    """
    width = query.shape[-1] // heads
    mask = torch.eye(heads, dtype=query.dtype, device=query.device).repeat_interleave(width, 1)[:, None]
    keys = (key[:, None] * (mask * width**-0.5)).flatten(1, 2)
    values = (value[:, None] * mask).flatten(1, 2)
    scores = query @ keys.transpose(1, 2)
    weights = scores.unflatten(-1, (heads, -1)).float().softmax(-1).to(value.dtype)
    return weights.flatten(2) @ values


def install(network: nn.Module) -> None:
    """Give every block of a UNet the class of this module that belongs to its own (in place)."""
    for module in network.modules():
        if type(module) in _CLASSES:
            module.__class__ = _CLASSES[type(module)]
        if isinstance(module, Attention) and type(module.processor) is AttnProcessor2_0:
            module.set_processor(ClipAttention())


_CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: LastConv,
    TemporalConvLayer: FramewiseConv,
    Transformer2DModel: SpatialTransformer,
    TransformerTemporalModel: TemporalTransformer,
    GEGLU: SplitGEGLU,
}


def _attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention (N, heads, T, width); on a CPU, in bf16 and for few tokens the fused kernel is slow."""
    if len(query) > MOST_SEQUENCES:
        parts = (tensor.split(MOST_SEQUENCES) for tensor in (query, key, value))
        return torch.cat([_attend(*part) for part in zip(*parts, strict=True)])
    few = query.shape[-2] * key.shape[-2] <= FEW_SCORES
    if query.device.type != "cpu" or query.dtype != torch.bfloat16 or not few:
        return functional.scaled_dot_product_attention(query, key, value)
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if scores.shape[-1] >= SHORT_ROW:
        return scores.softmax(-1) @ value
    return scores.float().softmax(-1).to(value.dtype) @ value


def _can_fuse(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's projection with GELU or product inside applies: bf16, no gradient, torch and processor have it.

    Not under a compiler, which cannot lower this operation and fuses the stock ones itself. A processor without AVX-512
    has no such projection in bf16; the stock operation then computes in another way.
    """
    if torch.compiler.is_compiling() or torch.is_grad_enabled():
        return False
    if x.dtype != torch.bfloat16 or weight.dtype != torch.bfloat16:
        return False
    operations = torch.ops.mkldnn
    known = all(hasattr(operations, name) for name in ("_linear_pointwise", "_is_mkldnn_bf16_supported"))
    return torch.backends.mkldnn.is_available() and known and bool(operations._is_mkldnn_bf16_supported())


def _is_plain(attn: Attention) -> bool:
    """Whether this attention has none of the extras that the stock processor knows."""
    extras = (attn.spatial_norm, attn.group_norm, attn.norm_cross, attn.norm_q, attn.norm_k)
    return not any(extras) and not attn.residual_connection and attn.rescale_output_factor == 1


def _frames_by_positions(x: Tensor, frames: int) -> Tensor:
    """(B * F, C, H, W) -> (B, C, F, H * W), a view where channels are last in memory."""
    return x.unflatten(0, (-1, frames)).flatten(3).transpose(1, 2)


def _images(x: Tensor, shape: torch.Size) -> Tensor:
    """(B, C, F, H * W) -> (B * F, C, H, W), the other way."""
    return x.transpose(1, 2).reshape(shape)


def _tokens(x: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, H * W, C)."""
    return x.permute(0, 2, 3, 1).flatten(1, 2).contiguous()
