"""The doors of the package and its rooms: names that are imported when they are first used.

Each `__init__.pyi` lists what its folder offers, as plain imports. Editors and type checkers read the real signatures
from it, and `offer` reads the same list, so there is no second one to keep in step.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def offer(package: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """`__getattr__`, `__dir__` and `__all__` of a package, from the stub beside its `__init__.py`.

    Args:
        package: its name; it is being imported.

    Example:
        >>> __getattr__, __dir__, __all__ = offer("ivtutorial.video")
        >>> "read_video" in __all__
        True
    """
    module = sys.modules[package]
    stub = Path(str(module.__file__)).with_suffix(".pyi").read_text(encoding="utf-8")
    lines = [line for line in ast.parse(stub).body if isinstance(line, ast.ImportFrom)]
    home = {item.name: str(line.module) for line in lines for item in line.names}

    def find(name: str) -> Any:
        if name not in home:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(home[name]), name)

    return find, lambda: sorted({*vars(module), *home}), sorted(home)
