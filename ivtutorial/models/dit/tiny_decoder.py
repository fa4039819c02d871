"""A tiny decoder for latents of Wan 2.1: a reward's gradient may go through it in place of the autoencoder.

| name     | shape           | meaning                                                                            |
|----------|-----------------|------------------------------------------------------------------------------------|
| `z`      | (n, 16, h, w)   | n latents in a row, as the transformer sees them: no mean and deviation to undo    |
| frames   | (4 n, 3, H, W)  | four of each latent, H = 8 h, W = 8 w; of the first latent only the last one counts |
| `memory` | (1, C, ., .)    | what each block keeps: its own input of the frame before, zeros at the start       |

The network is TAEHV's (Boer Bohan 2025), whose file for Wan 2.1 is `taew2_1.safetensors`: nine blocks of flat
convolutions, each of which sees a frame and the frame before; three times twice the sides, twice also twice the frames.
It has ten million weights where the autoencoder's decoder has seventy, and its frames are a little softer. So it may
serve the gradient, for which the reward sees its frames; what is sampled, evaluated and shown comes from the full
decoder.

The setting is `decoder` of `ivtutorial.training.config.FinetuneConfig`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ivtutorial.errors import InputError
from ivtutorial.weights.files import fill, read_weights, tensors_of

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone
    from ivtutorial.models.dit.backbone import DitBackbone

WIDTHS, CHANNELS = (256, 128, 64, 64), 16
DROPPED = 3  # frames of the first latent
_FILE = "Give taew2_1.safetensors, TAEHV's file for Wan 2.1."
_WIDTHS_AT = (1, 8, 14, 20)  # layers of the network whose output has these widths


class TinyDecoder(nn.Module):
    """The network, whose weights have TAEHV's names; a `ChunkDecoder` with one latent a chunk.

    Args:
        widths: channels of the three stages, and of the last convolution's input.
        channels: of the latents.

    Example:
        >>> frames, cache = TinyDecoder((4, 4, 4, 4)).decode_chunk(torch.zeros(1, 16, 1, 2, 2), None)
        >>> tuple(frames.shape), len(cache)
        ((1, 3, 1, 16, 16), 9)
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, channels: int = CHANNELS) -> None:
        super().__init__()
        self.channels = channels
        layers: list[nn.Module] = [_SoftClamp(), _convolution(channels, widths[0]), nn.ReLU()]
        for width, after, times in zip(widths, widths[1:], (1, 2, 2), strict=False):
            blocks = (_Block(width) for _ in range(3))
            layers += [*blocks, nn.Upsample(scale_factor=2), _Frames(width, times), _convolution(width, after, False)]
        self.decoder = nn.Sequential(*layers, nn.ReLU(), _convolution(widths[-1], 3))

    def forward(self, z: Tensor, memory: Sequence[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        """Frames (4 n, 3, H, W) of the next n latents (n, C, h, w), and the memory for those after; about [0, 1]."""
        x = z
        after: list[Tensor] = []
        for layer in self.decoder:
            if isinstance(layer, _Block):
                before = torch.zeros_like(x[:1]) if memory is None else memory[len(after)]
                after.append(x[-1:])
                x = layer(x, torch.cat([before, x[:-1]]))
            else:
                x = layer(x)
        return x, after

    def chunks(self, f: int) -> Sequence[int]:
        """One latent each."""
        return [1] * f

    def decode_chunk(self, z: Tensor, cache: Sequence[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """See :class:`ivtutorial.models.dit.choosing.ChunkDecoder`; the first latent gives one frame."""
        weight = next(self.parameters())
        frames, after = self(z[0].transpose(0, 1).to(weight.device, weight.dtype), cache)
        frames = frames[DROPPED if cache is None else 0 :].float().clamp(0, 1)
        return frames.transpose(0, 1)[None], [kept.detach() for kept in after]


class _SoftClamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return 3 * (x / 3).tanh()


class _Block(nn.Module):
    """Three convolutions of a frame and the frame before it, added to the frame."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = [_convolution(2 * width, width), nn.ReLU(), _convolution(width, width), nn.ReLU()]
        self.conv = nn.Sequential(*first, _convolution(width, width))

    def forward(self, x: Tensor, before: Tensor) -> Tensor:
        return (self.conv(torch.cat([x, before], dim=1)) + x).relu()


class _Frames(nn.Module):
    """Each frame becomes `times` frames."""

    def __init__(self, width: int, times: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width * times, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).reshape(-1, *x.shape[1:])  # type: ignore[no-any-return]


def _convolution(width: int, after: int, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(width, after, 3, padding=1, bias=bias)


def load_tiny_decoder(
    path: str | Path, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> TinyDecoder:
    """The network with the weights of a file, frozen; those of TAEHV's encoder are left out.

    Args:
        path: taew2_1.safetensors, or the .pth file with the same weights.
        dtype: of the weights in memory.
        device: where to put them.

    Raises:
        InputError: no such file, or not a tiny decoder for the latents of Wan 2.1.
    """
    if not Path(str(path)).is_file():
        raise InputError(f"decoder = {str(path)!r}: there is no such file. {_FILE}")
    state = tensors_of(read_weights(path, "weights of a tiny decoder"), path)
    own = {name: weight for name, weight in state.items() if name.startswith("decoder.")}
    if not own:
        raise InputError(f"{path} holds no tiny decoder: no weight's name begins with 'decoder.'. {_FILE}")
    network = TinyDecoder(tuple(_rows(own, layer, width) for layer, width in zip(_WIDTHS_AT, WIDTHS, strict=True)))
    sizes = {name: len(weight) for name, weight in network.state_dict().items()}
    # A file may have weights for more frames than are asked for; the last ones count.
    own = {name: weight[-sizes.get(name, len(weight)) :] for name, weight in own.items()}
    fill(network, own, path, "a tiny decoder for Wan 2.1")
    return network.to(device, dtype).requires_grad_(False).eval()


def _rows(state: Mapping[str, Tensor], layer: int, usual: int) -> int:
    weight = state.get(f"decoder.{layer}.weight")
    return usual if weight is None else len(weight)


@contextmanager
def tiny_decoding(backbone: Backbone | DitBackbone, path: str | Path | None) -> Iterator[None]:
    """For a while the gradient goes through the decoder in a file; None leaves it as it is.

    Args:
        backbone: of Wan 2.1, changed in place.
        path: see :func:`load_tiny_decoder`.

    Raises:
        InputError: a backbone of another family, or see :func:`load_tiny_decoder`.
    """
    if path is None:
        yield
        return
    wan: Any = backbone
    if not hasattr(wan, "tiny_decoder"):
        raise InputError(f"decoder = {str(path)!r}: only Wan 2.1 has a tiny decoder. Leave `decoder` out.")
    before, wan.tiny_decoder = wan.tiny_decoder, load_tiny_decoder(path, wan.vae.dtype, wan.device)
    try:
        yield
    finally:
        wan.tiny_decoder = before
