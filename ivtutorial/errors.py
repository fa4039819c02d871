"""The one exception that says: your input cannot be used, and here is what to do."""

from __future__ import annotations


class InputError(ValueError):
    """Bad user input. The message names the value given, what was expected and what to do."""


def first_line(error: Exception) -> str:
    """What an error says, without what follows on further lines; its name if it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
