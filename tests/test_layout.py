"""The architecture as README draws it, and the script that counts it."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "scripts" / "check_layout.py"


def drawn() -> dict[str, set[str]]:
    """Folder -> the folders that README's tree draws in it; the root's name is empty."""
    [tree] = re.findall(r"```text\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    folders: dict[str, set[str]] = {}
    stack: list[str] = []
    for line in tree.splitlines():
        match = re.match(r"( *)(\w+)/", line)
        if match:
            depth = len(match[1]) // 2
            folders.setdefault("/".join(stack[:depth]), set()).add(match[2])
            stack[depth:] = [match[2]]
    return folders


def there(folder: Path, ending: str) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_dir() and any(path.rglob(f"*{ending}"))}


def test_the_folders_of_the_package_are_those_of_the_readme() -> None:
    """A new folder is drawn there, with one line that says what it holds, or it is not made."""
    assert drawn()["ivtutorial"] == there(ROOT / "ivtutorial", ".py")
    assert drawn()["ivtutorial/lab"] == there(ROOT / "ivtutorial" / "lab", ".py")


def test_the_folders_of_the_repository_are_there() -> None:
    assert drawn()[""] and all((ROOT / name).is_dir() for name in drawn()[""])


@pytest.fixture(scope="module")
def layout() -> ModuleType:
    sys.path.insert(0, str(SCRIPT.parent))
    try:
        return importlib.import_module("check_layout")
    finally:
        sys.path.remove(str(SCRIPT.parent))


@pytest.fixture(scope="module")
def places(layout: ModuleType) -> ModuleType:
    return sys.modules["layout_places"]


@pytest.fixture(scope="module")
def duplications(layout: ModuleType) -> ModuleType:
    return sys.modules["layout_duplications"]


def written(folder: Path, **texts: str) -> list[Path]:
    """Modules of these names and texts."""
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    return [folder / f"{name}.py" for name in texts]


def test_the_script_prints_every_bar(layout: ModuleType) -> None:
    result = subprocess.run([sys.executable, str(SCRIPT)], capture_output=True, text=True, check=True)
    lines = [line for line in result.stdout.splitlines() if not line.startswith(" ")]
    assert len(lines) == len(layout.BARS) and all(re.search(r"\[.+\](  missed)?$", line) for line in lines)


def test_every_bar_is_met(layout: ModuleType) -> None:
    """Except that of imports, which `make lint` checks."""
    bars = [count() for count in layout.BARS if count is not layout.layers]
    assert {bar.what: bar.today for bar in bars if not bar.met} == {}


def test_lines_of_code_by_hand(layout: ModuleType, tmp_path: Path) -> None:
    """Four: the two heads, the assignment, and the return that stands behind a comment of its own."""
    path = tmp_path / "a.py"
    path.write_text(
        '''"""A module."""\n\nx = 1  # counts\n\n\nclass A:\n    """A class,\n\n    documented."""\n\n'''
        "    def f(self):\n        # does not count\n        return 2\n"
    )
    assert layout.code_lines(layout.tree(path), path.read_text()) == 4
    [(function, text)] = layout.functions(path)
    assert layout.code_lines(function, text) == 2


def test_words_of_a_cell_by_hand(layout: ModuleType) -> None:
    """Six: a formula is one word, in a line or on lines of its own; the table and the options of the box are none."""
    text = ":::{note}\n:class: tip\none $a + b$ two\n:::\n\n$$\nx = 1\n$$\n\n| a | b |\n\nthree four\n"
    assert layout.words(text) == 6


def test_a_test_that_asserts_in_a_helper_is_one(layout: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("def check(x):\n    assert x\n\ndef test_a():\n    check(1)\n\ndef test_b():\n    print(1)\n")
    helpers = {node.name: node for node, _ in layout.functions(path)}
    assert layout.asserts(helpers["test_a"], helpers) and not layout.asserts(helpers["test_b"], helpers)


def test_a_place_names_all_of_a_kind_or_all_but_one(places: ModuleType, tmp_path: Path) -> None:
    """The table, and the branches that leave the default out; neither the import, nor the choice, nor the docstring."""
    paths = written(
        tmp_path,
        a='"""A, B and C."""\nfrom b import A\n\nKINDS = {"A": 1, "B": 2, "C": 3}\nCHOICE = ("B",)\n',
        b="def cost(x):\n    return 1 if x is A else 2 if x is m.B else 3\n",
    )
    assert places.places_that_name({name: {name} for name in "ABC"}, paths) == ["a.py:4", "b.py:1"]


def test_a_second_list_of_methods_or_rewards_misses_the_bar(
    places: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a branch over all classes, or a table of learning rates, would be."""
    methods = places.table(ROOT / "ivtutorial" / "rivals" / "named.py", "METHOD_MODULES")
    rewards = places.table(ROOT / "ivtutorial" / "rewards" / "shipped.py", "SHIPPED")
    both = written(tmp_path, rates=f"RATES = {dict.fromkeys(methods, 1.0)}\nRANGES = {dict.fromkeys(rewards, 1.0)}\n")
    own, tests = places.modules, [ROOT / "tests" / "rivals" / "test_every_method.py"]
    monkeypatch.setattr(places, "modules", lambda *folder: tests if folder else [*own(), *both])
    for bar, line in ((places.method_places(), 1), (places.reward_places(), 2)):
        assert not bar.met and bar.today.startswith("3 in 3 files") and bar.today.endswith(f"rates.py:{line}")


def test_the_pages_have_as_many_steps_as_there_are_places(places: ModuleType) -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for kind, bar in (("reward", places.reward_places()), ("method", places.method_places())):
        page = text.partition(f"## Add a {kind}\n")[2].partition("\n## ")[0]
        steps = re.findall(r"^(\d)\. ", page, re.MULTILINE)
        assert steps[-1] == str(len(steps)) == bar.today[0] and "edit two places" in page.lower()


def test_a_declaration_is_a_parameter_or_a_field(
    places: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two: a call that hands it on and a local name are none."""
    paths = written(
        tmp_path,
        a="class A:\n    lambda_tar: float = 1.0\n\n    def f(self):\n        return g(lambda_tar=self.lambda_tar)\n",
        b="def g(x, *, lambda_tar=1.0):\n    scale = lambda_tar\n    return scale\n",
    )
    monkeypatch.setattr(places, "outside_cli", lambda: paths)
    assert places.declarations("lambda_tar") == ["a.py", "b.py"] and places.declarations("scale") == []
    bar = places.tar_declarations()
    assert bar.today.startswith("lambda_tar 2, normalise 0") and not bar.met, "one that is not found misses the bar"
    paths += written(tmp_path, c="def h(normalise, lambda_tar):\n    pass\n")
    bar = places.tar_declarations()
    assert bar.today.startswith("lambda_tar 3, normalise 1") and not bar.met, "so does a third declaration"


def test_a_line_in_two_modules_or_in_none_is_a_duplication(
    duplications: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hashes are made in two modules here, colours nowhere: then the pattern is out of date, and measures nothing."""
    paths = written(tmp_path, a="x = hashlib.sha256(b)\n", b="y = hashlib.md5(b)\n", c="z = hf_hub_download(name)\n")
    monkeypatch.setattr(duplications, "modules", lambda *folder: paths)
    several = duplications.in_several()
    assert several[18, "hashes"] == ["a.py", "b.py"] and several[20, "colours of plots"] == []
    assert (13, "downloads") not in several


def test_a_setting_that_a_method_repeats_is_found(
    duplications: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`S` with another default is a choice, `D` with the same one is a copy, and so is a function of the same body."""
    text = (
        'class A:\n    D: int = 20\n    S: int = 4\n\n    def f(self):\n        """Here."""\n        return 1\n\n\n'
        "class B(A):\n    pass\n\n\n"
        'class C(B):\n    D: int = 20\n    S: int = 2\n\n    def f(self):\n        """There."""\n        return 1\n'
    )
    monkeypatch.setattr(duplications, "modules", lambda *folder: written(tmp_path, methods=text))
    assert duplications.repeated_by_methods() == ["C.D", "C.f"]


def test_two_measurements_of_one_name_and_settings_spelt_out_are_found(
    duplications: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = written(
        tmp_path,
        a='def f(D, guidance, frames, height, width):\n    return {"motion": 1}\n',
        b='def g(D, guidance, *, frames):\n    return {"motion": 2, "flow": 3}\n',
    )
    monkeypatch.setattr(duplications, "outside_cli", lambda: paths)
    monkeypatch.setattr(duplications, "PACKAGE", tmp_path)
    monkeypatch.setattr(duplications, "modules", lambda *folder: [ROOT / "ivtutorial" / "sampling" / "settings.py"])
    assert duplications.modules_that_report("motion") == ["a.py", "b.py"]
    assert duplications.modules_that_report("flow") == ["b.py"]
    assert duplications.spell_out_sampling() == ["a.py:f"]
