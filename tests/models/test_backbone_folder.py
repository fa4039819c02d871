"""Folders of models: what is written, what is read of them and of the hub, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ivtutorial.errors import InputError
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import load_backbone, save_backbone
from ivtutorial.models.lora import attach_lora
from ivtutorial.models.named import open_encoder
from ivtutorial.weights.pipeline_folder import find_pipeline
from tests.models.sampler import generate, noise, sampling_roundings
from tests.tolerances import assert_close, roundings


def test_half_precision_files_are_float32_in_memory_and_frozen(tiny_backbone: Backbone, tmp_path: Path) -> None:
    save_backbone(tiny_backbone, tmp_path, torch.float16)
    stored = load_file(tmp_path / "unet" / "diffusion_pytorch_model.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}
    backbone = load_backbone(tmp_path)
    for model in (backbone.unet, backbone.vae, backbone.text_encoder):
        assert model.dtype == torch.float32 and not model.training
        assert not any(p.requires_grad for p in model.parameters())
    half = load_backbone(tmp_path, dtype=torch.bfloat16)
    assert half.unet.dtype == half.text_encoder.dtype == half.vae.dtype == torch.bfloat16


def test_saving_leaves_no_other_files_and_readable_ones(tiny_backbone: Backbone, tmp_path: Path) -> None:
    save_backbone(tiny_backbone, tmp_path)
    assert not list(tmp_path.rglob(".*"))
    assert {p.stat().st_mode for p in tmp_path.rglob("*") if p.is_file()} == {
        (tmp_path / "model_index.json").stat().st_mode
    }


def test_a_saved_folder_does_not_tell_where_its_weights_lay(tiny_backbone: Backbone, tmp_path: Path) -> None:
    """diffusers notes the path that a model was loaded from; a folder that is shared must not pass it on."""
    first = save_backbone(tiny_backbone, tmp_path / "first")
    second = save_backbone(load_backbone(first), tmp_path / "second")
    assert not [p for p in second.glob("*/*.json") if str(tmp_path) in p.read_text(encoding="utf-8")]


def test_a_failed_save_leaves_the_old_folder(
    tiny_backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_backbone(tiny_backbone, tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tiny_backbone.scheduler), "save_pretrained", full)
    with pytest.raises(InputError, match="No space left"):
        save_backbone(tiny_backbone, tmp_path, torch.float16)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_a_folder_that_cannot_be_written(tiny_backbone: Backbone, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="Cannot write"):
        save_backbone(tiny_backbone, tmp_path / "file")


def test_an_attached_adapter_must_be_merged_before_saving(fresh_backbone: Backbone, tmp_path: Path) -> None:
    attach_lora(fresh_backbone.unet)
    with pytest.raises(InputError, match="merge_lora"):
        save_backbone(fresh_backbone, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_scheduler_configuration_without_clip_sample_does_not_clip(tiny_backbone: Backbone, tmp_path: Path) -> None:
    """Other schedulers' files have no such entry, and DDIMScheduler clips to [-1, 1] by default."""
    save_backbone(tiny_backbone, tmp_path)
    path = tmp_path / "scheduler" / "scheduler_config.json"
    config = json.loads(path.read_text()) | {
        "_class_name": "PNDMScheduler",
        "prediction_type": "v_prediction",
    }
    del config["clip_sample"]
    path.write_text(json.dumps(config))
    scheduler = load_backbone(tmp_path).scheduler
    assert scheduler.config.clip_sample is False and scheduler.config.prediction_type == "v_prediction"


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("damage", ["truncated", "a weight gone", "no weights"])
def test_damaged_weights_are_an_error_and_never_random(
    tiny_backbone: Backbone, tmp_path: Path, part: str, damage: str
) -> None:
    save_backbone(tiny_backbone, tmp_path)
    (path,) = (tmp_path / part).glob("*.safetensors")
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-100])
    elif damage == "a weight gone":
        state = load_file(path)
        state.pop(sorted(state)[0])
        save_file(state, path, metadata={"format": "pt"})
    else:
        path.unlink()
    with pytest.raises(InputError, match=part):
        load_backbone(tmp_path)


def test_pytorch_files_are_read_where_there_are_no_others(tiny_backbone: Backbone, tmp_path: Path) -> None:
    """zeroscope is published that way. Of such a file only tensors are read: code in it is refused."""
    save_backbone(tiny_backbone, tmp_path)
    for part, name in (
        ("unet", "diffusion_pytorch_model"),
        ("vae", "diffusion_pytorch_model"),
        ("text_encoder", "pytorch_model"),
    ):
        (path,) = (tmp_path / part).glob("*.safetensors")
        torch.save(load_file(path), tmp_path / part / f"{name}.bin")
        path.unlink()
    z = noise(2, 4, 3, 8, 8)
    ours, n = generate(load_backbone(tmp_path), z, 1, 3.0), sampling_roundings(tiny_backbone, 1)
    assert_close(ours, generate(tiny_backbone, z, 1, 3.0), n=n, size=3.0)

    class Payload:
        def __reduce__(self) -> Any:
            return (tmp_path / "ran").mkdir, ()

    torch.save({"conv_in.weight": Payload()}, tmp_path / "unet" / "diffusion_pytorch_model.bin")
    with pytest.raises(InputError, match="unet"):
        load_backbone(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_half_precision_files_are_preferred_on_demand_and_missed_by_nobody(
    tiny_backbone: Backbone, tmp_path: Path
) -> None:
    """`variant="fp16"` takes `*.fp16.safetensors` of the parts that have them, and the others' usual files."""
    save_backbone(tiny_backbone, tmp_path)
    path = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    doubled = {name: 2 * tensor for name, tensor in load_file(path).items()}
    save_file(doubled, path.with_name("diffusion_pytorch_model.fp16.safetensors"), metadata={"format": "pt"})
    weight = tiny_backbone.unet.conv_in.weight
    assert torch.equal(load_backbone(tmp_path).unet.conv_in.weight, weight)
    assert torch.equal(load_backbone(tmp_path, variant="fp16").unet.conv_in.weight, 2 * weight)


def test_each_part_may_have_its_own_precision(tiny_backbone: Backbone, tmp_path: Path) -> None:
    save_backbone(tiny_backbone, tmp_path)
    backbone = load_backbone(tmp_path, {"unet": torch.bfloat16, "text_encoder": torch.float16})
    assert (backbone.unet.dtype, backbone.text_encoder.dtype) == (torch.bfloat16, torch.float16)
    assert backbone.vae.dtype == torch.float32


@pytest.mark.parametrize(
    ("index", "says"),
    [
        ({"_class_name": "StableDiffusionPipeline", "unet": ["diffusers", "UNet2DConditionModel"]}, "UNet2DCondition"),
        ({"_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"]}, "unet is absent"),
        ([1, 2], "not the index of a pipeline"),
    ],
    ids=["image model", "transformer", "another file"],
)
def test_a_pipeline_of_another_kind_is_refused(tiny_backbone: Backbone, tmp_path: Path, index: Any, says: str) -> None:
    save_backbone(tiny_backbone, tmp_path)
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match=says):
        load_backbone(tmp_path)


def test_parts_that_do_not_belong_together(fresh_backbone: Backbone, tmp_path: Path) -> None:
    unet = type(fresh_backbone.unet).from_config(fresh_backbone.unet.config, cross_attention_dim=24)
    with pytest.raises(InputError, match="16 and 24"):
        Backbone(
            unet,
            fresh_backbone.vae,
            fresh_backbone.text_encoder,
            fresh_backbone.tokenizer,
            fresh_backbone.scheduler,
        )


def test_folders_that_are_no_pipeline(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no model_index.json"):
        load_backbone(tmp_path)
    with pytest.raises(InputError, match="No folder"):
        load_backbone(tmp_path / "absent")


def test_a_hub_name_without_a_connection_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="'owner/model' is neither a folder here nor a model that the") as caught:
        load_backbone("owner/model")
    assert "\n" not in str(caught.value)


HUB_FILES = ("model_index.json", "README.md", "tokenizer/vocab.json", "unet/config.json", "vae/config.json")
PLAIN, HALF, PICKLED = (
    f"unet/diffusion_pytorch_model.{suffix}" for suffix in ("safetensors", "fp16.safetensors", "bin")
)
VAE, TALL = "vae/diffusion_pytorch_model.safetensors", "tall.safetensors"


@pytest.mark.parametrize(
    ("variant", "on_the_hub", "wanted"),
    [
        (None, (PLAIN, HALF, PICKLED, VAE, TALL), {PLAIN, VAE}),
        ("fp16", (PLAIN, HALF, PICKLED, VAE, TALL), {HALF, VAE}),
        ("fp16", (PLAIN, PICKLED, VAE), {PLAIN, VAE}),
        (None, (PICKLED, VAE), {PICKLED, VAE}),
        (None, (PICKLED, HALF, VAE), {PICKLED, VAE}),
    ],
    ids=["safetensors", "half precision", "no half precision", "only .bin", "half precision is not wanted"],
)
def test_a_hub_name_downloads_configurations_and_one_set_of_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variant: str | None, on_the_hub: tuple[str, ...], wanted: set[str]
) -> None:
    """The hub's own filter decides what is fetched of a repository; each file is put where a download puts it."""
    from huggingface_hub.utils import filter_repo_objects

    fetched: set[str] = set()

    def download(name: str, **filters: Any) -> str:
        assert name == "owner/model"
        for file in filter_repo_objects([*HUB_FILES, *on_the_hub], **filters):
            fetched.add(file)
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert find_pipeline("owner/model", variant) == tmp_path
    assert fetched == (set(HUB_FILES) - {"README.md"}) | wanted


def test_the_encoder_of_a_model_needs_no_other_weights(tiny_backbone: Backbone, tmp_path: Path) -> None:
    """UNet and text encoder without their weight files: the latents are those of the whole model."""
    save_backbone(tiny_backbone, tmp_path)
    for name in ("unet", "text_encoder"):
        next((tmp_path / name).glob("*.safetensors")).unlink()
    encoder = open_encoder(tmp_path)
    frames = torch.rand(1, 2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert_close(encoder.encode(frames), tiny_backbone.encode(frames), roundings(tiny_backbone.vae))
    assert encoder.latent_shape(2) == tiny_backbone.latent_shape(2) and encoder.unet.device.type == "meta"
    half = open_encoder(tmp_path, torch.bfloat16)
    assert half.vae.dtype == torch.bfloat16 and open_encoder(tiny_backbone) is tiny_backbone
    with pytest.raises(InputError, match="holds no weights for"):
        load_backbone(tmp_path)


def test_of_a_hub_model_only_the_weights_of_the_encoder_are_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub.utils import filter_repo_objects

    fetched: set[str] = set()

    def download(name: str, **filters: Any) -> str:
        for file in filter_repo_objects([*HUB_FILES, PLAIN, HALF, VAE], **filters):
            fetched.add(file)
            (tmp_path / file).parent.mkdir(exist_ok=True)
            (tmp_path / file).touch()
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert find_pipeline("owner/model", "fp16", ("vae",)) == tmp_path
    assert fetched == (set(HUB_FILES) - {"README.md"}) | {VAE}
