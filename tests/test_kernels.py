"""The record of `make test-kernels`: which settings ran, with what kernels and versions, and how each ended."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("test_kernels_script", ROOT / "scripts" / "test_kernels.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "kernels", lambda setting: "those of this machine")  # saves a start of torch
    return module


def test_every_setting_and_part_is_in_the_record(script: ModuleType, tmp_path: Path) -> None:
    """One setting, two parts: the tests pass since they see the setting's threads, the "notebooks" do not."""
    for name, number in (("good", 2), ("bad", 1)):
        text = f"import os\n\ndef test_{name}():\n    assert os.environ['OMP_NUM_THREADS'] == '{number}'\n"
        (tmp_path / f"test_{name}.py").write_text(text)
    path = tmp_path / "records" / "kernels.json"
    with pytest.raises(SystemExit, match=r"failed with: 2 threads \(notebooks\)$"):
        script.main(["--only", "threads", "--record", str(path), f"--notebooks=-n 0 '{tmp_path / 'test_bad.py'}'",
                     "--", "-n", "0", str(tmp_path / "test_good.py")])  # fmt: skip
    written = json.loads(path.read_text())
    assert written["versions"]["torch"] and written["hardware"] and "commit" in written and "started" in written
    good, bad = written["runs"]
    assert (good["setting"], good["variables"], good["part"]) == ("2 threads", {"OMP_NUM_THREADS": "2"}, "tests")
    assert (good["exit_code"], good["failed"]) == (0, []) and "1 passed" in good["outcome"]
    assert (bad["exit_code"], bad["part"]) == (1, "notebooks") and "1 failed" in bad["outcome"]
    assert len(bad["failed"]) == 1 and "test_bad.py::test_bad" in bad["failed"][0]
    assert all(row["seconds"] >= 0 and row["kernels"] == "those of this machine" for row in written["runs"])


def test_a_setting_leaves_nothing_of_what_the_user_had_set(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx512")
    assert "ATEN_CPU_CAPABILITY" not in script.environment({})
    assert script.environment(script.SETTINGS["aten avx2"])["ATEN_CPU_CAPABILITY"] == "avx2"
