"""PyAV, through which video files are read and written; everything else works without it."""

from __future__ import annotations

from ivtutorial.errors import InputError, first_line


class NoPyAV(InputError):
    """No video file can be read or written here, so it is not this file's fault."""


def need_pyav(instead: str = "") -> None:
    """One clear error where PyAV is missing: called before long work, and wherever `av` is imported.

    Args:
        instead: what else the user can do.

    Raises:
        NoPyAV: PyAV is not installed, or cannot be loaded.
    """
    try:
        import av  # noqa: F401
    except ImportError as error:
        other = f", or {instead}" if instead else ""
        raise NoPyAV(
            f"Writing and reading clips needs PyAV ({first_line(error)}): install it (pip install av){other}."
        ) from error
