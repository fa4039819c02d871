"""Web quality: the faults of video gathered from the web, each known, seeded and strong enough to see.

ModelScopeT2V learnt from WebVid-10M, whose clips carry a watermark across the picture and the marks of cheap cameras
and hard compression; so its samples have them too. The fine-tuning clips and the annotators' frames are treated here;
the reduced base model learns from clips with milder faults (`ivtutorial.lab.reduced_models.train_all.pool`).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ivtutorial.lab.world.drawing.pen import Array


@dataclass(frozen=True)
class WebFaults:
    """How strong each fault is in one clip; 0 is absent.

    Attributes:
        blur: standard deviation of the blur in pixels at a width of 64.
        wash: share of the contrast and colour lost, [0, 1]. tint: strength of a colour cast, [0, 1].
        noise: standard deviation of the sensor noise, in units of full brightness.
        blocks: coarseness of the block compression (quantiser step of 8x8 cosine coefficients).
        watermark: opacity of the watermark bar.
        flicker: standard deviation of the brightness from frame to frame.
        jitter: standard deviation of the camera shake in pixels at a width of 64.
        seed: fixes the noise, the cast's colour, the shake.
    """

    blur: float = 0.0
    wash: float = 0.0
    tint: float = 0.0
    noise: float = 0.0
    blocks: float = 0.0
    watermark: float = 0.0
    flicker: float = 0.0
    jitter: float = 0.0
    seed: int = 0

    @property
    def severity(self) -> float:
        """How bad the clip looks, about [0, 1]: each fault over its strongest value, weighted by `SEVERITY`."""
        return float(sum(w * getattr(self, name) / STRONGEST[name] for name, w in SEVERITY.items()))


STRONGEST = {"blur": 1.3, "wash": 0.5, "tint": 0.3, "noise": 0.035, "blocks": 0.35, "watermark": 0.6,
             "flicker": 0.07, "jitter": 0.8}  # fmt: skip
# The annotators' taste: watermark, blur and wash weigh most.
SEVERITY = {"blur": 0.25, "wash": 0.20, "tint": 0.10, "noise": 0.08, "blocks": 0.07, "watermark": 0.30}
_CHANCE = {"blur": 0.45, "wash": 0.45, "tint": 0.3, "noise": 0.4, "blocks": 0.3, "watermark": 0.45,
           "flicker": 0.4, "jitter": 0.3}  # fmt: skip


def draw_faults(rng: np.random.Generator) -> WebFaults:
    """Draw the faults of one clip: each is present with its own chance, at half to full strength."""
    values = {
        f.name: float(STRONGEST[f.name] * rng.uniform(0.5, 1.0)) if rng.random() < _CHANCE[f.name] else 0.0
        for f in fields(WebFaults)
        if f.name != "seed"
    }
    return WebFaults(**values, seed=int(rng.integers(2**31)))


def degrade(frames: Array, faults: WebFaults, index: NDArray[np.integer[Any]] | None = None) -> Array:
    """Give a clean clip its faults.

    Args:
        frames: float32 (F, H, W, 3) in [0, 1].
        faults: which, and how strong.
        index: the frame numbers within the clip, (F,), so that one frame of a clip shakes and flickers as it
            would within the whole; 0 .. F-1 by default.

    Returns:
        float32 (F, H, W, 3) in [0, 1].
    """
    index = np.arange(len(frames)) if index is None else index
    rng = np.random.default_rng(faults.seed)
    cast = rng.uniform(-1, 1, 3).astype(np.float32)
    # Drawn for the longest clip and then indexed: a frame's shake does not depend on which frames are drawn.
    longest = max(16, int(index.max()) + 1)
    shake = rng.standard_normal((longest, 2)).astype(np.float32)[index]
    light = rng.standard_normal(longest).astype(np.float32)[index]
    unit = frames.shape[1] / 64
    out = frames
    if faults.jitter:
        out = _shift(out, shake * faults.jitter * unit)
    if faults.blur:
        out = _blur(out, faults.blur * unit)
    if faults.wash:
        grey = out.mean(-1, keepdims=True)
        out = out + faults.wash * (0.5 * grey + 0.5 * 0.62 - out)
    if faults.tint:
        out = out + faults.tint * 0.4 * (cast - cast.mean())
    if faults.watermark:
        out = _watermark(out, faults.watermark)
    if faults.flicker:
        out = out * (1.0 + faults.flicker * light)[:, None, None, None]
    if faults.noise:
        noise = np.random.default_rng((faults.seed, int(index[0]))).standard_normal(out.shape, np.float32)
        out = out + faults.noise * noise
    if faults.blocks:
        out = _compress(out, faults.blocks)
    return np.clip(out, 0.0, 1.0).astype(np.float32)


def _shift(frames: Array, by: Array) -> Array:
    """Move each frame by (dy, dx) pixels, interpolated, edges repeated."""
    high, wide = frames.shape[1:3]
    out = np.empty_like(frames)
    for f, (dy, dx) in enumerate(by):
        ys, xs = np.clip(np.arange(high) + dy, 0, high - 1), np.clip(np.arange(wide) + dx, 0, wide - 1)
        y0, x0 = np.minimum(ys.astype(int), high - 2), np.minimum(xs.astype(int), wide - 2)
        wy, wx = (ys - y0)[:, None, None].astype(np.float32), (xs - x0)[None, :, None].astype(np.float32)
        rows = frames[f][y0] * (1 - wy) + frames[f][y0 + 1] * wy
        out[f] = rows[:, x0] * (1 - wx) + rows[:, x0 + 1] * wx
    return out


def _blur(frames: Array, sigma: float) -> Array:
    """Gaussian blur along both axes, edges repeated."""
    reach = max(1, int(np.ceil(2.5 * sigma)))
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2).astype(np.float32)
    weights /= weights.sum()
    for axis in (1, 2):
        pad = [(0, 0)] * 4
        pad[axis] = (reach, reach)
        wide = np.pad(frames, pad, mode="edge")
        length = frames.shape[axis]
        frames = sum(w * wide.take(range(k, k + length), axis) for k, w in enumerate(weights))  # type: ignore[assignment]
    return frames


def watermark_box(high: int, wide: int) -> tuple[int, int, int, int]:
    """Where the watermark bar lies: top, bottom, left, right in pixels."""
    return round(high * 0.09), round(high * 0.23), round(wide * 0.12), round(wide * 0.88)


def _watermark(frames: Array, opacity: float) -> Array:
    """A pale bar across the sky with dark strokes in it, like letters too small to read."""
    high, wide = frames.shape[1:3]
    top, bottom, left, right = watermark_box(high, wide)
    out = frames.copy()
    bar = out[:, top:bottom, left:right]
    bar += opacity * (0.96 - bar)
    stroke = max(2, round(wide / 32))
    inner = slice(top + (bottom - top) // 4, bottom - (bottom - top) // 4)
    for x in range(left + stroke, right - stroke, 3 * stroke):
        letter = out[:, inner, x : x + 2 * stroke]
        letter += opacity * 0.8 * (0.30 - letter)
    return out


def _cosine_matrix(n: int = 8) -> NDArray[np.float32]:
    k, x = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    matrix = np.cos(np.pi * (2 * x + 1) * k / (2 * n)) * np.sqrt(2 / n)
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


def _compress(frames: Array, step: float) -> Array:
    """Round the cosine coefficients of 8x8 blocks, the higher ones more coarsely, as JPEG and H.264 do."""
    count, high, wide, channels = frames.shape
    matrix = _cosine_matrix()
    blocks = frames.reshape(count, high // 8, 8, wide // 8, 8, channels)
    coefficients = np.einsum("ki,fyixjc,lj->fykxlc", matrix, blocks, matrix, optimize=True)
    frequency = np.add.outer(np.arange(8), np.arange(8)).astype(np.float32)[None, None, :, None, :, None]
    quantiser = step * (0.15 + 0.12 * frequency)
    rounded = np.round(coefficients / quantiser) * quantiser
    back = np.einsum("ki,fykxlc,lj->fyixjc", matrix, rounded, matrix, optimize=True)
    return back.reshape(frames.shape)
