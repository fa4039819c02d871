"""Names of columns, arms and lists as a reader meets them in a figure."""

from __future__ import annotations

COLUMN_WORDS = {
    "reward": "reward (higher is better)",
    "utility": "truth: utility u (higher is better)",
    "subject": "right subjects (higher is better)",
    "sharpness": "sharpness",
    "colourfulness": "colourfulness",
    "watermark": "watermark (lower is better)",
    "flicker": "flicker (lower is better)",
    "warp_error": "warping error (lower is better)",
    "travel_error": "error of travel (lower is better)",
    "time_error": "errors in time (lower is better)",
    "preferred": "annotators' choice, over one half",
    "artefact": "artefacts (lower is better)",
}
ARM_WORDS = {
    "instructvideo": "InstructVideo",
    "again": "the same again (A/A)",
    "paper": "the paper's recipe",
    "paper-again": "the same again (A/A)",
    "quick-edit": "QuickEdit, any step",
    "quick-51": "QuickEdit",
    "quick-51-fifth": "QuickEdit, a fifth of it",
    "t-51": "gradient through t = 51",
    "t-251": "gradient through t = 251",
    "perfect": "a perfect clip",
    "draft-1": "DRaFT-1",
    "rwr": "RWR",
    "ddpo": "DDPO",
    "supervised": "supervised",
    "segvr-tar": "SegVR and TAR",
    "dense": "every frame",
    "mean": "no attenuation",
    "web": "web clips",
    "light": "half of the faults",
    "clean": "clean clips",
    "reduced": "the first reward",
    "vivid": "sharp and colourful",
    "tuned-D20": "tuned with 20 steps",
    "tuned-D50": "tuned with 50 steps",
}
LIST_WORDS = {
    "in_domain": "known animals",
    "new_animals": "new animals",
    "things": "things",
    "clips": "training captions",
    "others": "more known animals",
}


def column_words(name: str) -> str:
    """A column's name for an axis.

    Example:
        >>> column_words("watermark")
        'watermark (lower is better)'
    """
    return COLUMN_WORDS.get(name, name.replace("_", " "))


def arm_words(name: str) -> str:
    """An arm's name for a legend, as the papers write it.

    Example:
        >>> arm_words("draft-1"), arm_words("tau-0.6")
        ('DRaFT-1', 'tau 0.6')
    """
    return ARM_WORDS.get(name, name.replace("lambda-", "lambda ").replace("tau-", "tau "))


def list_words(where: str) -> str:
    """A list of prompts, "LIST-D", in words.

    Example:
        >>> list_words("things-50")
        'things, 50 steps'
    """
    name, _, D = where.rpartition("-")
    return f"{LIST_WORDS.get(name, name)}, {D} steps"


def wide_table(head: str, body: str) -> str:
    """HTML of a table that scrolls where the page is narrow, with the keyboard too.

    Args:
        head: cells of the first row. body: the other rows.
    """
    box = '<div style="overflow-x: auto" tabindex="0" role="group" aria-label="table">'
    return f"{box}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
