"""Downloads and weight files: which errors a user sees, and that nothing but tensors is ever read."""

from __future__ import annotations

import hashlib
import os
import pickle
from pathlib import Path
from typing import Any

import huggingface_hub.errors as hub_errors
import pytest
import torch
from safetensors.torch import save_file

from ivtutorial.errors import InputError
from ivtutorial.system.files import sha256
from ivtutorial.weights.files import fill, read_weights, tensors_of
from ivtutorial.weights.hub import hub_file, hub_folder, is_hub_name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("owner/model-1.7b", True),
        ("model", False),
        ("a/b/c", False),
        ("/owner/model", False),
        ("owner/model name", False),
    ],
)
def test_hub_names(name: str, expected: bool) -> None:
    assert is_hub_name(name) is expected


def _response(error: type[Exception]) -> Exception:
    """The hub's errors want the server's response; none of it matters here."""
    made = error.__new__(error)
    made.args = ("404 Client Error\nRequest ID: 1234",)
    return made


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (_response(hub_errors.RepositoryNotFoundError), "knows no such model"),
        (_response(hub_errors.GatedRepoError), "accept its terms"),
        (_response(hub_errors.RemoteEntryNotFoundError), "has no such file"),
        (
            hub_errors.LocalEntryNotFoundError("cannot find the file in the cache\nand no network"),
            "cannot find the file",
        ),
        (ConnectionError("Name or service not known"), "Name or service not known"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (TimeoutError(), "TimeoutError"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_a_download_that_fails_is_one_line_with_the_cause(
    monkeypatch: pytest.MonkeyPatch, error: Exception, says: str
) -> None:
    def fail(*_: Any, **__: Any) -> str:
        raise error

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    for ask in (lambda: hub_file("owner/model", "a.pt"), lambda: hub_folder("owner/model", ["*.json"])):
        with pytest.raises(InputError, match=says) as caught:
            ask()
        assert "\n" not in str(caught.value) and "'owner/model'" in str(caught.value)


@pytest.mark.parametrize("damaged", [False, True])
def test_a_file_of_the_hub_must_have_the_hash_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, damaged: bool
) -> None:
    """As in the hub's cache: the file is a link to a blob whose name is the SHA-256 of what it should hold."""
    blob = tmp_path / hashlib.sha256(b"weights").hexdigest()
    blob.write_bytes(b"wrights" if damaged else b"weights")
    os.symlink(blob, tmp_path / "a.pt")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, filename: str(tmp_path / filename))
    if damaged:
        with pytest.raises(InputError, match="damaged or another file"):
            hub_file("owner/model", "a.pt")
    else:
        assert hub_file("owner/model", "a.pt") == tmp_path / "a.pt"


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", "older .pth"])
def test_weights_come_back_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    state, path = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}, tmp_path / f"weights{suffix.split()[-1]}"
    if suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save({"state_dict": state, "step": 7}, path, _use_new_zipfile_serialization=suffix == ".pth")
    found = tensors_of(read_weights(path), path, "module", "state_dict")
    assert found.keys() == state.keys() and all(torch.equal(found[name], state[name]) for name in state)


def test_weight_files_that_cannot_be_used(tmp_path: Path) -> None:
    absent, text, empty = tmp_path / "absent.pt", tmp_path / "page.pt", tmp_path / "empty.safetensors"
    text.write_text("<html>rate limited</html>")
    empty.write_bytes(b"")
    for path in (absent, text, empty):
        with pytest.raises(InputError, match="does not hold readable"):
            read_weights(path)
    with pytest.raises(InputError, match="holds no weights: its entries are step"):
        tensors_of({"step": 3}, text)


def test_code_in_a_weight_file_is_never_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    for name, write in (("pickle.pt", lambda p: p.write_bytes(pickle.dumps(Payload()))), ("torch.pt", None)):
        path = tmp_path / name
        torch.save({"state_dict": Payload()}, path) if write is None else write(path)
        with pytest.raises(InputError, match="could run code"):
            read_weights(path)
    assert not (tmp_path / "ran").exists()


def test_a_network_takes_all_weights_or_names_what_does_not_fit() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    state = {name: tensor + 1 for name, tensor in network.state_dict().items()}
    fill(network, state, "file", "a network")
    assert all(torch.equal(tensor, state[name]) for name, tensor in network.state_dict().items())
    bad = {"0.weight": torch.ones(3, 5), "0.bias": state["0.bias"], "new": torch.ones(1)}
    with pytest.raises(InputError) as caught:
        fill(network, bad, "file", "a network")
    said = str(caught.value)
    assert "2 missing: 1.weight, 1.bias" in said and "1 unknown: new" in said
    assert "1 of another shape: 0.weight (3, 5) instead of (3, 2)" in said


def test_a_file_of_the_hub_is_hashed_once_until_it_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Two gigabytes take seconds; a file of the same size and time is the same file."""
    blob = tmp_path / hashlib.sha256(b"weights").hexdigest()
    blob.write_bytes(b"weights")
    os.symlink(blob, tmp_path / "a.pt")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", lambda name, filename: str(tmp_path / filename))
    hashed: list[Path] = []
    monkeypatch.setattr("ivtutorial.weights.hub.sha256", lambda path: hashed.append(path) or sha256(path))
    for _ in range(3):
        hub_file("owner/model", "a.pt")
    assert hashed == [blob]
    blob.write_bytes(b"wrights!")
    with pytest.raises(InputError, match="damaged or another file"):
        hub_file("owner/model", "a.pt")
