"""Clips whose content is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def numbered(count: int, height: int = 32, width: int = 32) -> np.ndarray:
    """`count` flat grey frames; frame k has the level 20 + 3 k, so a frame read back tells its number."""
    levels = 20 + 3 * np.arange(count)
    return np.broadcast_to(levels[:, None, None, None], (count, height, width, 3)).astype(np.uint8)


def numbers(frames: np.ndarray) -> list[int]:
    return [round((float(frame.mean()) - 20) / 3) for frame in frames]


def moving_dot() -> np.ndarray:
    """16 frames of a disc crossing a colour gradient: something for the encoder to do."""
    y, x = np.mgrid[:64, :64]
    frames = [
        np.stack([3 * x + 20, 3 * y + 20, np.where((x - 10 - 2 * k) ** 2 + (y - 32) ** 2 < 90, 230, 60)], -1)
        for k in range(16)
    ]
    return np.stack(frames).astype(np.uint8)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
