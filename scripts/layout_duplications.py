"""What was once written in two or more places, by number, and where it is written today.

The numbers are those of a list of 25 that was made before the package got its folders. Most are found by the line that
does the work: one module should have it. Three are not lines: fields that a method's class repeats from its base (1),
a name that two modules give to different measurements (23), functions that spell out the settings of `Sampling` (24).
"""

from __future__ import annotations

import ast
import re

from layout_files import PACKAGE, classes, functions, modules, outside_cli, parameters, settings, short, tree

# Number, what it is, and how the line that does it looks.
LINES = (
    (2, "noising a clip", r"a \* z \+ b \* noise|\.add_noise\("),
    (2, "noise levels", r"alphas_cumprod\["),
    (3, "the velocity", r"a \* noise - b \* z|\.get_velocity\("),
    (4, "steps of a chain", r"zip\(timesteps, "),
    (5, "the last K steps", r"range\(\w+ - K, "),
    (6, "whole numbers", r"isinstance\(\w+, int\) (and not|or) isinstance\(\w+, bool\)"),
    (7, "the noise schedule", r"\bDDIMScheduler\("),
    (8, "versions of packages", r"(?<![.\w])version\(\w"),
    (9, "evenly spread items", r"\* len\(items\) //"),
    (10, "averaged gradients", r"def average_gradients|torch\.cat\(\[g\w*\.(flatten|reshape)"),
    (11, "CLIP's colours", r"0\.48145466"),
    (12, "the weight file of open_clip", r"\"open_clip_model\.safetensors\""),
    (13, "downloads", r"hf_hub_download\("),
    (14, "warnings held back", r"catch_warnings\(|simplefilter\(|logging\.disable\("),
    (15, "text in UTF-8", r"utf-8-sig"),
    (15, "tables", r"csv\.reader\("),
    (16, "PNG files", r"format=\"PNG\""),
    (17, "numbers that JSON lacks", r"None if isinstance\(\w+, float\) and not|isfinite\(\w+\) else None"),
    (18, "hashes", r"hashlib\.\w+\("),
    (19, "which device", r"torch\.device\(\"cuda\""),
    (20, "colours of plots", r"E69F00"),
    (21, "peak memory", r"ru_maxrss"),
    (22, "sharpness", r"topk\(max\(1, edges"),
    (22, "RGB to YUV", r"0\.587, 0\.114"),
    (25, "embedded files", r"b64encode\("),
)


def homes(pattern: str) -> list[str]:
    """The modules of the package with a line that matches."""
    return [short(path) for path in modules() if re.search(pattern, path.read_text(encoding="utf-8"))]


def in_several() -> dict[tuple[int, str], list[str]]:
    """The lines that none or several modules have: a pattern that finds nothing measures nothing."""
    found = {(number, what): homes(pattern) for number, what, pattern in LINES}
    return {key: paths for key, paths in found.items() if len(paths) != 1}


def repeated_by_methods() -> list[str]:
    """Fields and functions of a method's class that one of its bases has with the same type, default and body."""
    paths = [path for room in ("method", "rivals") for path in modules(PACKAGE / room)]
    kinds = {kind.name: kind for path in paths for kind in classes(path)}
    return [f"{name}.{member}" for name, kind in kinds.items() for member, written in members(kind).items()
            if any(members(base).get(member) == written for base in bases(kind, kinds))]  # fmt: skip


def bases(kind: ast.ClassDef, kinds: dict[str, ast.ClassDef]) -> list[ast.ClassDef]:
    """The classes that a class derives from, at any depth, as far as they are known."""
    direct = [kinds[base.id] for base in kind.bases if isinstance(base, ast.Name) and base.id in kinds]
    return [one for base in direct for one in (base, *bases(base, kinds))]


def members(kind: ast.ClassDef) -> dict[str, str]:
    """Fields and functions of a class, as they are written, without docstrings."""
    code = {}
    for part in kind.body:
        if isinstance(part, ast.FunctionDef) and not part.name.startswith("__"):
            body = part.body[1:] if ast.get_docstring(part) else part.body
            code[part.name] = "\n".join(map(ast.unparse, body))
    return settings(kind) | {name: text for name, text in code.items() if text}


def modules_that_report(column: str) -> list[str]:
    """The modules outside lab/ and cli/ that return a number of this name, in a dictionary."""
    result = []
    for path in outside_cli():
        tables = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Dict)]
        keys = [key.value for table in tables for key in table.keys if isinstance(key, ast.Constant)]
        if column in keys and "lab" not in path.relative_to(PACKAGE).parts:
            result.append(short(path))
    return result


def spell_out_sampling() -> list[str]:
    """Functions outside cli/ with five or more of the settings of `Sampling` as parameters of their own."""
    [sampling] = [kind for path in modules(PACKAGE / "sampling") for kind in classes(path) if kind.name == "Sampling"]
    names = set(settings(sampling))
    return [f"{short(path)}:{node.name}" for path in outside_cli() for node, _ in functions(path)
            if len(names.intersection(parameters(node))) >= 5]  # fmt: skip


def remaining() -> dict[int, str]:
    """The duplications that are left: number -> what, and where."""
    left = {number: f"{what}: {', '.join(paths) or 'not found'}" for (number, what), paths in in_several().items()}
    if repeated := repeated_by_methods():
        left[1] = f"settings of methods: {', '.join(repeated)}"
    if len(paths := modules_that_report("motion")) > 1:
        left[23] = f"two measurements called motion: {', '.join(paths)}"
    if spelt := spell_out_sampling():
        left[24] = f"settings of Sampling: {', '.join(spelt)}"
    return dict(sorted(left.items()))


NUMBERS = {1, 23, 24} | {number for number, _, _ in LINES}
