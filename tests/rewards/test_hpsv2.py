"""HPSv2: where its weights come from, that they are checked, and that they are all of the network."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from ivtutorial.errors import InputError
from ivtutorial.rewards import ClipReward, load_hpsv2
from ivtutorial.rewards.hpsv2 import ARCHITECTURE, sequence_first
from tests.rewards.tiny_clip import frames, model_config, tiny_clip
from tests.tolerances import assert_close, roundings

CAPTIONS = ["a red fox", "the deer running 🦌", "snow"]


@pytest.fixture
def small_vit_h(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """ViT-H-14 has a billion weights: stand a tiny model in its place and return other weights for it."""
    config = model_config(context_length=77)

    def create(name: str, device: str = "cpu") -> Any:
        model = open_clip.CLIP(**config).to(device)
        model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
        return model

    monkeypatch.setattr(open_clip, "create_model", create)
    state: dict[str, Tensor] = tiny_clip(config).state_dict()
    return {name: tensor + 0.01 for name, tensor in state.items()}


def test_the_architecture_is_open_clips_vit_h_14_of_986_million_weights() -> None:
    """The published sum: 632.08 M in the image tower, 354.03 M in the text tower."""
    with torch.device("meta"):
        model = open_clip.create_model(ARCHITECTURE, device="meta")
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 2) == 986.11
    assert model.visual.image_size == (224, 224) and model.positional_embedding.shape == (77, 1024)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip file", "older format"])
def test_hpsv2_weights_come_from_the_checkpoint(small_vit_h: dict[str, Tensor], tmp_path: Path, legacy: bool) -> None:
    """The scores are those of the same network filled the ordinary way, its mask of later tokens included."""
    path = tmp_path / "hps.pt"
    torch.save({"state_dict": small_vit_h, "epoch": 3}, path, _use_new_zipfile_serialization=not legacy)
    reward = load_hpsv2(path, "v2.1", preprocessing="hpsv2")
    assert reward.preprocessing == "hpsv2"
    for name, tensor in reward.model.state_dict().items():
        assert torch.equal(tensor, small_vit_h[name])
    ordinary = tiny_clip(reward.model_config | model_config(context_length=77))
    ordinary.load_state_dict(small_vit_h)
    expected = ClipReward(ordinary, reward.tokenizer, {}, "hpsv2")
    assert_close(reward(frames(), CAPTIONS), expected(frames(), CAPTIONS), n=roundings(ordinary), size=1.0)


@pytest.mark.parametrize(("version", "file"), [("v2.0", "HPS_v2_compressed.pt"), ("v2.1", "HPS_v2.1_compressed.pt")])
@pytest.mark.parametrize("place", ["a folder", "the hub", "another hub name"])
def test_where_hpsv2_is_found(
    small_vit_h: dict[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    file: str,
    place: str,
) -> None:
    torch.save({"state_dict": small_vit_h}, tmp_path / file)
    asked: list[tuple[str, str]] = []

    def download(name: str, filename: str) -> str:
        asked.append((name, filename))
        return str(tmp_path / filename)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    given = {"a folder": tmp_path, "the hub": None, "another hub name": "someone/copy"}[place]
    load_hpsv2(given, version)
    assert asked == {"a folder": [], "the hub": [("xswu/HPSv2", file)]}.get(place, [("someone/copy", file)])


def test_hpsv2_is_checked_by_its_hash(small_vit_h: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "hps.pt"
    torch.save({"state_dict": small_vit_h}, path)
    load_hpsv2(path, sha256=hashlib.sha256(path.read_bytes()).hexdigest())
    with pytest.raises(InputError, match="damaged or another file"):
        load_hpsv2(path, sha256="0" * 64)


def test_unusable_hpsv2_checkpoints(small_vit_h: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "hps.pt"
    with pytest.raises(InputError, match="v3"):
        load_hpsv2(path, "v3")
    with pytest.raises(InputError, match="No HPSv2 checkpoint at"):
        load_hpsv2(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(InputError, match="holds no weights"):
        load_hpsv2(path)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="does not hold readable HPSv2 v2.0 weights"):
        load_hpsv2(path)
    small_vit_h.pop("visual.proj")
    torch.save({"state_dict": small_vit_h}, path)
    with pytest.raises(InputError, match=r"HPSv2 v2.0 \(ViT-H-14\): 1 missing: visual\.proj"):
        load_hpsv2(path)


def test_a_checkpoint_that_would_run_code_is_refused(
    small_vit_h: dict[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return print, ("the payload ran",)

    (tmp_path / "hps.pt").write_bytes(pickle.dumps({"state_dict": Payload()}, protocol=2))
    with pytest.raises(InputError, match="only be made by code"):
        load_hpsv2(tmp_path / "hps.pt")
    assert "the payload ran" not in capsys.readouterr().out


class Counted(TorchDispatchMode):
    """Counts the operations of a block by name."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        self.calls[function.overloadpacket.__name__] += 1
        return function(*arguments, **(options or {}))


def test_blocks_on_sequence_first_compute_the_same_without_a_product_for_each_token() -> None:
    """Features and slopes are equal; the batched product that copies a frozen weight once a token is gone."""
    visual = tiny_clip(model_config()).visual.requires_grad_(False)
    x = frames().requires_grad_()

    def features_and_slope() -> tuple[Tensor, Tensor, Counter[str]]:
        with Counted() as counted:
            features = visual(x)
            (slope,) = torch.autograd.grad(features.square().sum(), x)
        return features.detach(), slope, counted.calls

    features, slope, before = features_and_slope()
    sequence_first(visual)
    others, other_slope, after = features_and_slope()
    assert_close(others, features, n=roundings(visual), size=float(features.abs().max()))
    assert_close(other_slope, slope, n=2 * roundings(visual), size=float(slope.abs().max()))
    blocks = len(visual.transformer.resblocks)
    assert before["bmm"] - after["bmm"] == 2 * blocks, "forward and backward of each block"


def test_hpsv2_runs_on_sequence_first(small_vit_h: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save(small_vit_h, tmp_path / "hps.pt")
    transformer = load_hpsv2(tmp_path / "hps.pt").model.visual.transformer
    assert not transformer.batch_first and not any(block.attn.batch_first for block in transformer.resblocks)
