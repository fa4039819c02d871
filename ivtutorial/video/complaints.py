"""What FFmpeg complains of while it decodes, and which of it is harmless.

H.264 that was cut between key pictures without encoding it anew drops references to pictures before the cut. That is
logged as an error, and every frame is right. It can only happen before the first picture that resets the decoder (IDR).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_IDR = 5
_FFMPEG_LOG = threading.Lock()


def is_harmless(message: str) -> bool:
    """Whether a message is that of a reference to a picture before the cut."""
    return "mmco: unref short failure" in message


def resets(packet: Any, extradata: bytes | None) -> bool:
    """Whether a packet of H.264 holds a picture that resets the decoder.

    Args:
        packet: of PyAV.
        extradata: of the stream; in MP4 it says how units are divided.
    """
    data, kinds, offset = bytes(packet), [], 0
    if not extradata or extradata[0] != 1:  # Annex B: units begin with 0, 0, 1
        return any(part and part[0] & 31 == _IDR for part in data.split(b"\0\0\1")[1:])
    width = (extradata[4] & 3) + 1
    while offset + width < len(data):
        kinds.append(data[offset + width] & 31)
        offset += width + int.from_bytes(data[offset : offset + width], "big")
    return _IDR in kinds


@contextmanager
def complaints(collect: bool) -> Iterator[list[str]]:
    """The errors that FFmpeg logs in this thread while the block runs, in a list that is full when it ends.

    Args:
        collect: False does nothing, for the list stays empty. Collecting is done by one thread at a time, and
            what other threads' decoders log meanwhile is dropped, as PyAV does anyway.
    """
    messages: list[str] = []
    if not collect:
        yield messages
        return
    from av import logging as ffmpeg

    with _FFMPEG_LOG:
        level, skip = ffmpeg.get_level(), ffmpeg.get_skip_repeated()
        ffmpeg.set_level(ffmpeg.ERROR)
        ffmpeg.set_skip_repeated(False)
        try:
            with ffmpeg.Capture(local=False), ffmpeg.Capture(local=True) as lines:
                yield messages
                messages.extend(line[2] for line in lines)
        finally:
            ffmpeg.set_level(level)
            ffmpeg.set_skip_repeated(skip)
