"""What is a caption, and what is not."""

from __future__ import annotations

from typing import Any

from ivtutorial.errors import InputError

_MISSING = ("none", "null", "n/a", "<na>", "<none>")  # how programs write a missing value; `nan` is a number


def check_caption(caption: Any) -> str:
    """Returns a caption without space at its ends, if it is one.

    Args:
        caption: any text in any script; emoji are text.

    Raises:
        InputError: not a `str`, empty, a number or a word for a missing value, or characters that no text has: control
            characters, as a binary file read as text has them, or half of a surrogate pair.
    """
    if not isinstance(caption, str):
        raise InputError(f"a caption is text, got {caption!r} of type {type(caption).__name__}.")
    text = caption.strip()
    if not text:
        raise InputError("the caption is empty: say in a few words what the clip shows.")
    if number(text) is not None or text.lower() in _MISSING:
        raise InputError(f"a caption is words, got {'the number' if number(text) is not None else 'only'} {text!r}.")
    if any(ord(character) < 32 and character not in "\t\r\n" for character in text):
        raise InputError(f"a caption is text, got control characters in {text[:40]!r}.")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(f"a caption is Unicode text, got half of a surrogate pair in {text[:40]!r}.")
    return text


def number(value: Any) -> float | None:
    """A number, or text that is one, else None."""
    try:
        return None if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
