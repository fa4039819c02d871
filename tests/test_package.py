"""The package's front door: light to import, and every public name leads to what it names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import ivtutorial


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("torch", "diffusers", "transformers", "open_clip", "peft", "av", "matplotlib", "accelerate")
    code = f"import sys, ivtutorial; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("name", [n for n in ivtutorial.__all__ if n != "__version__"])
def test_every_public_name_is_what_its_module_defines(name: str) -> None:
    """It is a class or function of that name with a docstring, never a module that happens to be called the same."""
    found = getattr(ivtutorial, name)
    assert found.__name__ == name and found.__doc__ and found.__module__.startswith("ivtutorial.")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ivtutorial.nothing
