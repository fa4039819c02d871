"""Downloads and weight files: which errors a user sees, and that nothing but tensors is ever read."""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import pickle
import sys
import threading
import types
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import huggingface_hub.errors as hub_errors
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ivtutorial.errors import InputError
from ivtutorial.system.files import sha256
from ivtutorial.weights.files import Ignored, fill, read_weights, tensors_of
from ivtutorial.weights.hub import hub_file, hub_folder, is_hub_name
from ivtutorial.weights.pipeline_folder import find_pipeline
from tests.tolerances import assert_close


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
    result = tensors_of(read_weights(path), path, "module", "state_dict")
    assert result.keys() == state.keys() and all(torch.equal(result[name], state[name]) for name in state)


def test_weight_files_that_cannot_be_used(tmp_path: Path) -> None:
    absent, text, empty = tmp_path / "absent.pt", tmp_path / "page.pt", tmp_path / "empty.safetensors"
    text.write_text("<html>rate limited</html>")
    empty.write_bytes(b"")
    with pytest.raises(InputError, match="absent.pt: there is no such file of weights"):
        read_weights(absent)
    for path in (text, empty):
        with pytest.raises(InputError, match="does not hold readable"):
            read_weights(path)
    with pytest.raises(InputError, match="holds no weights: its entries are step"):
        tensors_of({"step": 3}, text)
    with pytest.raises(InputError, match="holds no weights: it is empty"):
        tensors_of({}, text)


@pytest.mark.parametrize("name", ["page.pth", "page.safetensors"])
@pytest.mark.parametrize(
    "content",
    [b"hello", b"version https://git-lfs\n", b"Not found", b"<html>", b"404: x", b"X1", b""],
)
def test_what_is_no_file_of_weights_says_how_it_begins(tmp_path: Path, name: str, content: bytes) -> None:
    """Words that are no PyTorch file fail in many ways, some with a number for a message."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_weights(tmp_path / name, "UNet weights")
    start = f"it begins with {content[:16]!r}" if content else "it is empty"
    kind = "a .safetensors file" if name.endswith("s") else "a PyTorch file (.pt, .pth, .bin, .ckpt)"
    assert f"does not hold readable UNet weights: {start}. Expected {kind}." in str(caught.value)


def test_code_in_a_weight_file_is_never_run(tmp_path: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return os.mkdir, (str(tmp_path / "ran"),)

    for name, write in (("pickle.pt", lambda p: p.write_bytes(pickle.dumps(Payload()))), ("torch.pt", None)):
        path = tmp_path / name
        torch.save({"state_dict": Payload()}, path) if write is None else write(path)
        with pytest.raises(InputError, match="only be made by code"):
            read_weights(path)
    assert not (tmp_path / "ran").exists()


def test_weights_are_read_from_between_objects_that_are_not(tmp_path: Path) -> None:
    """As training programs write them: settings, figures of numpy, classes of a module that is not here."""
    module = types.ModuleType("some_trainer")
    exec("class State:\n    def __setstate__(self, state):\n        raise SystemError('run')\n", module.__dict__)
    module.State.__module__ = "some_trainer"
    sys.modules["some_trainer"] = module
    state = module.State()
    state.step = 7
    weights = {"a": torch.arange(3.0), "b": torch.ones(2, 2)}
    others = {
        "args": argparse.Namespace(lr=1e-5, folder=Path("runs")),
        "best": np.float64(0.5),
        "losses": np.arange(4),
        "trainer": state,
    }
    torch.save({"state_dict": weights, **others}, tmp_path / "a.pt")
    del sys.modules["some_trainer"]
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / "a.pt", weights_only=True)
    result = read_weights(tmp_path / "a.pt")
    assert_close(tensors_of(result, "a.pt", "state_dict"), weights, n=0)
    assert isinstance(result["args"], Ignored) and isinstance(result["trainer"], Ignored)
    assert "some_trainer" not in sys.modules


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


class Hub(BaseHTTPRequestHandler):
    """A hub on this machine that holds one repository; large files are named by their SHA-256, as the hub does."""

    files: ClassVar[dict[str, bytes]] = {}
    fetched: ClassVar[list[str]] = []
    commit = "0" * 40

    def do_HEAD(self) -> None:
        self._answer(send=False)

    def do_GET(self) -> None:
        self._answer(send=True)

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def _answer(self, send: bool) -> None:
        path = self.path.partition("?")[0]
        if path.startswith("/api/models/owner/model"):
            listed = [{"type": "file", "path": name, "size": len(self.files[name]), "oid": "0"} for name in self.files]
            named = [{"rfilename": name} for name in self.files]
            content = listed if "/tree/" in path else {"id": "owner/model", "sha": self.commit, "siblings": named}
            return self._send(json.dumps(content).encode(), {"Content-Type": "application/json"}, send)
        name = path.partition("/resolve/")[2].partition("/")[2]
        if name not in self.files:
            return self._send(b"", {"X-Error-Code": "EntryNotFound"}, send, 404)
        body = self.files[name]
        if send:
            self.fetched.append(name)
        return self._send(body, {"ETag": f'"{hashlib.sha256(body).hexdigest()}"'}, send)

    def _send(self, body: bytes, headers: dict[str, str], send: bool, status: int = 200) -> None:
        self.send_response(status)
        for key, value in {"X-Repo-Commit": self.commit, "Content-Length": str(len(body)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if send:
            self.wfile.write(body)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Hub]]:
    """The hub's own client talks to it; nothing leaves this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    settings = {"ENDPOINT": address, "HF_HUB_OFFLINE": False, "HF_HUB_CACHE": str(tmp_path), "HF_HUB_DISABLE_XET": True}
    for name, value in settings.items():
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    Hub.files, Hub.fetched = {}, []
    yield Hub
    server.shutdown()
    server.server_close()


def test_a_reward_file_is_fetched_once_and_checked(hub: type[Hub]) -> None:
    """By the real client: the second call finds it in the cache, and a damaged copy is refused."""
    hub.files["HPS_v2_compressed.pt"] = b"weights"
    path = hub_file("owner/model", "HPS_v2_compressed.pt")
    assert path.read_bytes() == b"weights" and hub_file("owner/model", "HPS_v2_compressed.pt") == path
    assert hub.fetched == ["HPS_v2_compressed.pt"]
    path.resolve().write_bytes(b"wrights!")
    with pytest.raises(InputError, match="damaged or another file"):
        hub_file("owner/model", "HPS_v2_compressed.pt")
    with pytest.raises(InputError, match="has no such file"):
        hub_file("owner/model", "HPS_v2.1_compressed.pt")


@pytest.mark.parametrize(
    ("stored", "variant", "expected"),
    [
        (["safetensors", "fp16.safetensors", "bin", "fp16.bin"], "fp16", "fp16.safetensors"),
        (["safetensors", "fp16.safetensors", "bin"], None, "safetensors"),
        (["bin", "fp16.bin"], "fp16", "fp16.bin"),
        (["bin"], "fp16", "bin"),
    ],
)
def test_of_a_pipeline_one_set_of_weights_is_fetched(
    hub: type[Hub], stored: list[str], variant: str | None, expected: str
) -> None:
    """Safetensors before PyTorch files, half precision where it is asked for and there; nothing else that is large."""
    weights = [f"{part}/model.{kind}" for part in ("unet", "vae") for kind in stored]
    small = ["model_index.json", "unet/config.json", "vae/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt"]
    hub.files |= {name: name.encode() for name in [*small, *weights, "README.md", "x.mp4"]}
    folder = find_pipeline("owner/model", variant)
    assert (folder / "model_index.json").is_file()
    assert sorted(hub.fetched) == sorted([*small, f"unet/model.{expected}", f"vae/model.{expected}"])
    find_pipeline("owner/model", variant, ["vae"])
    assert len(hub.fetched) == len(small) + 2, "all of it is in the cache"


def test_a_folder_is_no_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is a folder: expected one file of weights, \.safetensors"):
        read_weights(tmp_path)
