"""What must hold for the repository as a whole.

One list of dependencies in three files, a wheel with the weights in it, nothing that ties the code to one
machine, and a notation page that leads to functions and tests that exist.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PYTHONS = ("3.10", "3.11", "3.12", "3.13")
LOCK_LINE = re.compile(r"[A-Za-z0-9._-]+==[A-Za-z0-9.+!_-]+( ; [^#]+)?")


def declared(*extras: str) -> list[str]:
    project = PROJECT["project"]
    lists = [project["dependencies"], *(project["optional-dependencies"][extra] for extra in extras)]
    return [requirement for one in lists for requirement in one]


def locked_lines() -> list[str]:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def locked(python: str) -> dict[str, str]:
    """Name -> version of what the lock installs on Linux with this Python."""
    here = {"python_version": python, "python_full_version": f"{python}.0", "sys_platform": "linux"}
    here |= {"platform_machine": "x86_64", "implementation_name": "cpython", "extra": ""}
    result = [Requirement(line) for line in locked_lines()]
    chosen = [one for one in result if one.marker is None or one.marker.evaluate(here)]
    names = [canonicalize_name(one.name) for one in chosen]
    assert len(names) == len(set(names)), "the lock gives two versions of one package"
    return {canonicalize_name(one.name): str(one.specifier).removeprefix("==") for one in chosen}


def our_files(*endings: str) -> list[Path]:
    """The files that git knows or would take; their tests are skipped where there is no git."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in sorted(set(names)) if name and (not endings or name.endswith(endings))]
    return [path for path in paths if path.is_file()]


# Dependencies


def test_runtime_dependencies_are_lower_bounds_only() -> None:
    """An installed torch or numpy must satisfy them however new it is, so nothing may be pinned or capped."""
    for text in declared():
        operators = {specifier.operator for specifier in Requirement(text).specifier}
        assert operators == {">="}, text


def test_the_conda_environment_lists_the_same_requirements() -> None:
    dependencies = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    [through_pip] = [entry["pip"] for entry in dependencies if isinstance(entry, dict)]
    assert through_pip == [*declared(), *declared_extra("book"), *declared_extra("dev"), "--editable ."]
    assert f"python{PROJECT['project']['requires-python']},<3.14" in dependencies


def declared_extra(name: str) -> list[str]:
    extra: list[str] = PROJECT["project"]["optional-dependencies"][name]
    return extra


def test_everybody_names_the_same_pythons() -> None:
    """The oldest and the newest, in what installs, what refuses and what a newcomer reads first."""
    named = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"] if "Language :: Python" in line]
    assert named == list(PYTHONS)
    assert PROJECT["project"]["requires-python"] == f">={PYTHONS[0]}"
    range_of = re.compile(rf"Python {re.escape(PYTHONS[0])}(?: to |-){re.escape(PYTHONS[-1])}")
    for name in ("README.md", "Makefile", ".ci/uv", "book/setup.md", "book/00_start.md"):
        assert range_of.search((ROOT / name).read_text(encoding="utf-8")), name
    assert f"--python-version {PYTHONS[0]}" in (ROOT / "Makefile").read_text(encoding="utf-8")
    assert "(3, 10) <= sys.version_info < (3, 14)" in (ROOT / ".ci" / "uv").read_text(encoding="utf-8")


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_satisfies_every_requirement(python: str) -> None:
    versions = locked(python)
    for text in declared("book", "dev"):
        requirement = Requirement(text)
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements.lock: run make lock"
        assert requirement.specifier.contains(version, prereleases=True), f"{text} but {version}: run make lock"


def test_the_lock_names_versions_and_no_places() -> None:
    lines = locked_lines()
    assert len(lines) > 100
    assert [line for line in lines if not LOCK_LINE.fullmatch(line) or "://" in line or " @ " in line] == []
    assert "hpsv2" not in locked("3.12"), "hpsv2's pins must stay out of the environment"


def test_one_version_number() -> None:
    version = PROJECT["project"]["version"]
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == version
    assert f"\n## {version} " in (ROOT / "CHANGELOG.md").read_text()


# What is built and run


def test_the_wheel_holds_the_package_and_the_data_it_needs(tmp_path: Path) -> None:
    """What hatchling would pack of a small copy: models, prompts and clips, but not the gallery."""
    from hatchling.builders.wheel import WheelBuilder

    for name in ("pyproject.toml", ".gitignore"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    data = ["models/unet/w.safetensors", "models/CARD.md", "prompts/a.txt", "clips/c.mp4", "gallery/g.png"]
    for name in ["README.md", "LICENSE", "ivtutorial/__init__.py", "ivtutorial/py.typed", "tests/t.py"]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in data:
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).touch()
    packed = {file.distribution_path for file in WheelBuilder(str(tmp_path)).recurse_included_files()}
    expected = {"ivtutorial/__init__.py", "ivtutorial/py.typed"} | {f"ivtutorial/_data/{name}" for name in data[:-1]}
    assert packed == expected


def test_shipped_weights_are_small() -> None:
    """The weights that the package brings take at most 40 MB."""
    weights = [path for path in our_files(".safetensors") if ROOT / "data" / "models" in path.parents]
    if not weights:
        pytest.skip("no weights in data/ yet")
    assert sum(path.stat().st_size for path in weights) <= 40_000_000


def test_golden_values_are_few_and_nothing_but_numbers() -> None:
    """At most 2 MB in every clone: tensors, manifests and how they were made."""
    files = [path for path in our_files() if path.parent == ROOT / "tests" / "golden"]
    assert {path.suffix for path in files} == {".safetensors", ".json", ".md"}
    assert sum(path.stat().st_size for path in files) <= 2_000_000


def test_ci_runs_make_test() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert script.read_text().rstrip().endswith("exec make test")


def test_make_help_names_the_two_commands_of_the_readme() -> None:
    shown = subprocess.run(["make", "-C", ROOT, "help"], capture_output=True, text=True, check=True).stdout
    assert {"make demo", "make test", "make book"} <= {line.strip()[:9] for line in shown.splitlines()}


def test_no_method_module_knows_the_scale() -> None:
    """One dial, resolved at the edge: the method reads neither the environment nor a preset's name."""
    package = ROOT / "ivtutorial"
    for path in sorted([*(package / "method").glob("*.py"), *(package / "rivals").glob("*.py")]):
        names = {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
        texts = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        assert not names & {"environ", "getenv"}, path
        assert not {"reduced", "modelscope"} & {text for text in texts if isinstance(text, str)}, path


# What the files say


def test_no_file_names_a_machine_or_a_package_index() -> None:
    """No absolute paths of somebody's machine and no addresses of package indexes."""
    machine = re.compile(r"(?<![\w.~<-])/(?:root|work|home/\w+|Users/\w+)/[\w.-]")
    index = re.compile(r"://[\w.-]*(?:pypi|pythonhosted|anaconda|npmjs|debian)[\w.-]*|(?:extra-)?index-url *[= ] *\S+:")
    endings = (
        ".py",
        ".md",
        ".toml",
        ".lock",
        ".yml",
        ".yaml",
        ".cff",
        ".json",
        ".ipynb",
        ".txt",
        ".csv",
        "Makefile",
    )
    result = []
    for path in our_files(*endings, "run", "uv"):
        if path != Path(__file__):
            text = path.read_text(encoding="utf-8", errors="replace")
            result += [f"{path.relative_to(ROOT)}: {hit[0]}" for one in (machine, index) for hit in one.finditer(text)]
    assert result == []


def test_every_page_of_the_book_is_in_its_contents() -> None:
    """All but the pages of book/api, which are written when the site is built."""
    contents = yaml.safe_load((ROOT / "_toc.yml").read_text())
    listed = {contents["root"]} | {chapter["file"] for part in contents["parts"] for chapter in part["chapters"]}
    listed.remove("book/api/index")
    there = {str(path.relative_to(ROOT).with_suffix("")) for path in our_files(".ipynb", ".md")}
    assert listed == {page for page in there if re.match(r"book/(?!api/)", page)}, "put the page into _toc.yml"
