"""Opens a video file and yields its frames with their times, or raises one clear error.

Choices worth knowing:
- A damaged file is an error. Left alone, the decoder hides damage: it repeats or smears what it has, and the
  clip looks fine to a program. So decoding runs with `err_detect=explode`, and any frame marked corrupt
  stops it. One complaint is harmless: H.264 that was cut between key pictures without encoding it anew drops
  references to pictures before the cut. Such a file is decoded again, and this must be the only complaint.
- Pictures before the first key picture, as in a recording that was joined late, cannot be decoded and are left out.
- Time stamps must rise. Where the presentation stamps do not (H.264 in AVI), the decoding stamps are taken, and
  where these do not either, frames are counted at the stream's rate.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ivtutorial.errors import InputError
from ivtutorial.video.complaints import complaints, is_harmless, resets
from ivtutorial.video.pyav import need_pyav
from ivtutorial.video.timing import Stamp, rising

if TYPE_CHECKING:
    import av

_PLAYLISTS = ("concat", "hls", "dash", "imf")  # whatever the name of such a file ends in
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders of these leave transparency out


class Damaged(InputError):
    """The file is a video, but some of it cannot be decoded."""


class Unordered(InputError):
    """The time stamps do not rise: read again, with `Video.rising_stamps`."""


@dataclass(frozen=True)
class Decoded:
    """A frame as decoded.

    Attributes:
        time: seconds since the first frame.
        length: seconds that the file says the frame lasts; 0 if it does not say.
        frame: of PyAV.
        aspect: width of a stored pixel / its height.
        transfer, primaries: FFmpeg's numbers of the transfer curve and of the primaries; 2 is unspecified.
    """

    time: Fraction
    length: Fraction
    frame: av.VideoFrame
    aspect: Fraction
    transfer: int
    primaries: int


class Video:
    """An opened file and the stream that is read; see `opened`.

    Attributes:
        path: the file.
        container, stream: of PyAV.
        notes: what was not taken as it is in the file, in words.
    """

    def __init__(self, path: Path, container: Any, lenient: bool = False) -> None:
        self.path, self.container, self.lenient = path, container, lenient
        self.notes: list[str] = []
        self.stream = self._choose_stream()
        self.decoder = self._choose_decoder()

    def frames(self, stamps: Sequence[Fraction] | None = None) -> Iterator[Decoded]:
        """Yields the frames in the order of presentation.

        Args:
            stamps: seconds of each frame, from `rising_stamps`; None takes those of the file.

        Raises:
            Unordered: the stamps of the file are missing or do not rise.
            Damaged: a frame cannot be decoded whole.
        """
        first, last = None, None
        for index, frame in enumerate(self._decode()):
            if stamps is not None and index >= len(stamps):
                return
            time = _seconds(frame, frame.pts) if stamps is None else stamps[index]
            if time is None or (last is not None and time <= last):
                raise Unordered(f"{self.path}: its time stamps do not rise.")
            first, last = time if first is None else first, time
            length = (getattr(frame, "duration", 0) or 0) * Fraction(frame.time_base or 0)  # PyAV 14 has none
            yield Decoded(time - first, Fraction(length), frame, *self._look())

    def rising_stamps(self, until: Fraction) -> list[Fraction]:
        """Decodes the file for a rising list of times where its own do not rise; frames that are later may be left out.

        Args:
            until: seconds since the first frame that are wanted.
        """
        rate = Fraction(self.stream.guessed_rate or self.stream.average_rate or 25)
        presented: list[Stamp] = []
        coded: list[Stamp] = []
        for index, frame in enumerate(self._decode()):
            presented.append(_seconds(frame, frame.pts))
            coded.append(_seconds(frame, frame.dts))
            begun, now = coded[0], coded[-1]
            by_stamp = begun is None or now is None or now - begun > until + 2
            if by_stamp and index / rate > until + 2:
                break
        times, note = rising(presented, coded, rate)
        self.notes += [note] if note else []
        return times

    def least(self) -> Fraction:
        """Seconds that the video lasts, where the file states it exactly (Matroska and WebM), else 0."""
        if "matroska" not in self.container.format.name:
            return Fraction(0)
        parts = self.stream.metadata.get("DURATION", "").split(":")
        try:
            hours, minutes, seconds = (Fraction(part) for part in parts)
            stated = hours * 3600 + minutes * 60 + seconds
        except ValueError:
            alone = len(self.container.streams) == 1 and self.container.duration
            stated = Fraction(self.container.duration, 10**6) if alone else Fraction(0)
        return stated - Fraction(self.container.start_time or 0, 10**6)

    def _choose_stream(self) -> Any:
        """The stream to read; refuses pictures and sound (also sound with cover art)."""
        from av.stream import Disposition

        kind = self.container.format.name
        if kind == "webp_pipe":
            raise InputError(f"{self.path}: is WebP, which is read as a still picture only; convert it to MP4 first.")
        if kind.endswith("_pipe") or kind == "image2":
            raise InputError(f"{self.path}: is a picture ({kind.removesuffix('_pipe')}), not a video.")
        if kind in _PLAYLISTS:
            raise InputError(f"{self.path}: is a list of other files ({kind}), not a video; give those files.")
        moving = [s for s in self.container.streams.video if not s.disposition & Disposition.attached_pic]
        if not moving:
            kinds = sorted({stream.type for stream in self.container.streams}) or ["nothing"]
            raise InputError(f"{self.path}: holds no video stream, only {', '.join(kinds)}.")
        stream = next((s for s in moving if s.disposition & Disposition.default), moving[0])
        if stream.codec_context is None:
            raise InputError(f"{self.path}: its video codec is unknown to FFmpeg; convert the file to H.264 first.")
        if len(moving) > 1:
            self.notes.append(f"{len(moving)} video streams, read is number {moving.index(stream) + 1}")
        return stream

    def _choose_decoder(self) -> Any:
        from av import CodecContext, codecs_available

        decoder = self.stream.codec_context
        name = _ALPHA_DECODERS.get(decoder.name, "")
        if {key.lower(): value for key, value in self.stream.metadata.items()}.get("alpha_mode") == "1":
            if name in codecs_available:
                own = CodecContext.create(name, "r")
                own.extradata = decoder.extradata
                return own
            self.notes.append("transparent parts show their hidden colour")
        decoder.options = {} if self.lenient else {"err_detect": "explode"}
        if self.lenient:
            decoder.thread_count = 1  # so that FFmpeg's complaints are logged in this thread
        return decoder

    def _decode(self) -> Iterator[av.VideoFrame]:
        """Yields the decoder's frames; damage raises `Damaged`."""
        from av.error import InvalidDataError

        count, fresh = 0, False  # fresh: the decoder has been reset since the file began, so no reference is old
        for packet in self._packets():
            try:
                with complaints(self.lenient) as messages:
                    frames = self.decoder.decode(packet)
            except InvalidDataError as error:
                raise Damaged(f"{self.path}: damaged: frame {count} or one near it cannot be decoded.") from error
            fresh = fresh or (self.lenient and resets(packet, self.stream.codec_context.extradata))
            if messages and (fresh or not all(is_harmless(message) for message in messages)):
                raise Damaged(f"{self.path}: damaged near frame {count}: {messages[0].strip()}.")
            for frame in frames:
                if frame.is_corrupt:
                    raise Damaged(f"{self.path}: damaged: frame {count} cannot be decoded whole.")
                count += 1
                yield frame

    def _packets(self) -> Iterator[Any]:
        """The stream's packets from the first key picture on; all of them if none is marked as one."""
        waiting: list[Any] = []
        begun = False
        for packet in self.container.demux(self.stream):
            if not begun and not packet.is_keyframe and packet.size:
                waiting.append(packet)
                continue
            if not begun and packet.size and waiting:
                self.notes.append(f"begins with {len(waiting)} pictures that need earlier ones; they are left out")
                waiting = []
            if not packet.size:
                yield from waiting
            begun = True
            yield packet

    def _look(self) -> tuple[Fraction, int, int]:
        context = self.stream.codec_context
        stated, coded = self.stream.sample_aspect_ratio, context.sample_aspect_ratio
        return Fraction(stated or coded or 1), int(context.color_trc or 2), int(context.color_primaries or 2)


@contextmanager
def opened(path: Path, lenient: bool = False) -> Iterator[Video]:
    """Opens a file for reading.

    Args:
        path: of the file. Its name may hold anything; it is never read as an address.
        lenient: accept the one harmless complaint of H.264, see the module's first lines.

    Raises:
        InputError: no such file, not a video, or damaged; also while its frames are read. Or PyAV is missing.
    """
    need_pyav()
    import av

    try:
        if not path.exists():
            raise InputError(f"{path}: no such file.")
        # An absolute name: FFmpeg reads what comes before a colon as a protocol.
        with av.open(os.path.abspath(path), **_metadata(av.__version__)) as container:
            yield Video(path, container, lenient)
    except InputError:
        raise
    except (av.error.FFmpegError, OSError, ValueError, EOFError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise InputError(f"{path}: not a video that can be read, or damaged ({reason}).") from error


def _metadata(version: str) -> dict[str, Any]:
    """What keeps PyAV from failing at tags that are not UTF-8: a setting before 19, which replaces them by itself."""
    return {"metadata_errors": "replace"} if int(version.split(".")[0]) < 19 else {}


def _seconds(frame: av.VideoFrame, stamp: int | None) -> Stamp:
    return None if stamp is None or frame.time_base is None else stamp * Fraction(frame.time_base)


def is_cut_between_keys(path: Path) -> bool:
    """Whether a file is H.264 that begins with a picture other than those that reset the decoder."""
    with opened(path) as video:
        context = video.stream.codec_context
        packet = next((packet for packet in video.container.demux(video.stream) if packet.size), None)
        return context.name == "h264" and packet is not None and not resets(packet, context.extradata)
