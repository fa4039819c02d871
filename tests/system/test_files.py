"""Files appear whole or not at all, and the shipped data is found in a checkout and in a wheel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ivtutorial.errors import InputError
from ivtutorial.system import files


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs code in a process of its own, since it is going to be killed or limited."""
    command = [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])


def test_a_written_file_is_there_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "deep" / "a.bin"
    with files.atomic_write(target) as file:
        file.write(b"one")
        assert not target.exists()  # not before the block has ended
        file.write(b"two")
    assert target.read_bytes() == b"onetwo"
    assert os.listdir(target.parent) == ["a.bin"]


def test_a_written_file_has_the_usual_permissions(tmp_path: Path) -> None:
    """Temporary files are private by habit; what is left must be readable like any file made with open()."""
    (tmp_path / "plain").write_text("")
    files.atomic_write_text(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_text_is_utf8_with_its_own_line_ends(tmp_path: Path) -> None:
    files.atomic_write_text(tmp_path / "t.txt", "ä\n🦊")
    assert (tmp_path / "t.txt").read_bytes() == "ä\n🦊".encode()


def test_an_error_inside_the_block_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    with pytest.raises(KeyError), files.atomic_write(target) as file:
        file.write(b"half of the n")
        raise KeyError("the caller's own error")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_kill_in_the_middle_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    code = """
        import os, signal, sys
        from ivtutorial.system.files import atomic_write
        with atomic_write(sys.argv[1]) as file:
            file.write(b"half" * 100_000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_python(code, target).returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"


def test_no_room_left_is_one_clear_error_and_nothing_is_lost(tmp_path: Path) -> None:
    """A file-size limit of 1000 bytes makes the system refuse the write, as a full disk does."""
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    code = """
        import resource, sys
        from ivtutorial.errors import InputError
        from ivtutorial.system.files import atomic_write
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        try:
            with atomic_write(sys.argv[1]) as file:
                file.write(bytes(100_000))
        except InputError as error:
            print(error)
    """
    result = run_python(code, target)
    assert f"cannot write {target}: " in result.stdout, result.stderr
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(InputError, match=r"cannot write .*file/a\.bin: .*give a folder"):
        files.atomic_write_text(tmp_path / "file" / "a.bin", "x")
    (tmp_path / "taken").mkdir()
    with pytest.raises(InputError, match="cannot write .*taken"):
        files.atomic_write_text(tmp_path / "taken", "x")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_clear_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write .*Permission denied"):
        files.atomic_write_text(tmp_path / "a.bin", "x")
    tmp_path.chmod(0o700)


def test_another_files_error_is_not_blamed_on_the_written_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.atomic_write(tmp_path / "a.bin"):
        (tmp_path / "absent").read_bytes()


def test_sha256_of_the_standard_example(tmp_path: Path) -> None:
    """FIPS 180-2 gives the hash of the three bytes `abc`."""
    (tmp_path / "abc").write_bytes(b"abc")
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert files.sha256(tmp_path / "abc") == expected
    with pytest.raises(InputError, match="cannot read .*absent"):
        files.sha256(tmp_path / "absent")


def test_data_is_found_in_a_wheel_then_in_a_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ivtutorial"
    monkeypatch.setattr(files, "PACKAGE", package)
    with pytest.raises(InputError, match="no models/unet.*_data"):
        files.data_path("models", "unet")
    (tmp_path / "data" / "models" / "unet").mkdir(parents=True)
    assert files.data_path("models", "unet") == tmp_path / "data" / "models" / "unet"
    (package / "_data" / "models" / "unet").mkdir(parents=True)
    assert files.data_path("models", "unet") == package / "_data" / "models" / "unet"


def test_a_key_depends_on_values_and_not_on_the_order_of_names() -> None:
    assert (
        files.key({"a": 1, "b": [2]}, "x") == files.key({"b": [2], "a": 1}, "x") != files.key({"a": 1, "b": [3]}, "x")
    )


def test_numbers_that_json_has_no_word_for_become_none() -> None:
    values = {"loss": float("nan"), "curve": [1, float("inf"), 0.5], "name": "nan"}
    assert files.plain_json(values) == {"loss": None, "curve": [1, None, 0.5], "name": "nan"}
