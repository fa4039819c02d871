"""The doors of the package and of its folders: light to import, typed, and every name leads to what it names."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import ivtutorial as iv

ROOT = Path(iv.__file__).parent
DOORS = sorted(".".join(stub.parent.relative_to(ROOT.parent).parts) for stub in ROOT.rglob("__init__.pyi"))


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "diffusers", "transformers", "open_clip", "peft", "av", "matplotlib", "accelerate")
    doors = "; ".join(f"import {door}" for door in DOORS)
    code = f"import sys; {doors}; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_six_jobs_stand_at_the_root() -> None:
    for job in ("prepare", "finetune", "generate", "score", "evaluate", "compare"):
        assert inspect.isfunction(getattr(iv, job)) and getattr(iv, job).__name__ == job


@pytest.mark.parametrize("door", DOORS)
def test_every_name_is_what_a_module_of_the_package_defines(door: str) -> None:
    """Each has a docstring where it is a class or function, and none hides a module of the folder."""
    package = importlib.import_module(door)
    modules = {path.stem for path in Path(str(package.__file__)).parent.iterdir()}
    assert package.__all__ and not set(package.__all__) & modules
    assert set(package.__all__) <= set(dir(package))
    for name in package.__all__:
        item = getattr(package, name)
        assert not inspect.ismodule(item)
        if inspect.isclass(item) or inspect.isfunction(item):
            assert item.__name__ == name and item.__doc__ and item.__module__.startswith("ivtutorial."), name


@pytest.mark.parametrize("door", DOORS)
def test_an_unknown_name_is_an_attribute_error(door: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{door}' has no attribute 'nothing'"):
        _ = importlib.import_module(door).nothing
