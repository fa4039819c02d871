"""What a run leaves for others: its adapter at any moment, alone or merged, and what is refused."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load_file, save_file

from ivtutorial.errors import InputError
from ivtutorial.models.backbone_folder import load_backbone, save_backbone
from ivtutorial.models.lora import LORA_FILE, load_lora, merge_lora
from ivtutorial.models.lora_formats import find_adapter
from ivtutorial.training.finetuning import export_adapter, export_merged
from ivtutorial.training.run_folder import FinetuneResult, model_of
from tests.tolerances import assert_close
from tests.training.runs import same, weights

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone


@pytest.fixture
def run(unbroken: FinetuneResult, tmp_path: Path) -> Path:
    """A copy of a run of six steps, with the checkpoints of steps 4 and 6."""
    return Path(shutil.copytree(unbroken.folder, tmp_path / "run"))


def cut_off(run: Path) -> None:
    """As a run is after a kill between steps 4 and 6."""
    shutil.rmtree(run / "lora")
    shutil.rmtree(run / "checkpoints" / "step-000006")
    (run / "checkpoints" / "latest").write_text("step-000004\n")


def test_a_run_that_has_ended_gives_its_result(run: Path) -> None:
    assert find_adapter(run) == run / "lora" / LORA_FILE
    assert find_adapter(run / "lora") == find_adapter(run / "lora" / LORA_FILE) == run / "lora" / LORA_FILE


def test_a_run_that_was_cut_off_gives_its_newest_checkpoint(run: Path, caplog: pytest.LogCaptureFixture) -> None:
    cut_off(run)
    with caplog.at_level(logging.WARNING):
        assert find_adapter(run) == run / "checkpoints" / "step-000004" / LORA_FILE
    assert "has not ended: its newest checkpoint is used, step-000004 of 6 steps" in caplog.text


def test_a_run_that_goes_on_gives_its_newest_checkpoint_not_the_result_of_fewer_steps(run: Path) -> None:
    """It had ended after 6 steps and was continued to 10: RUN/lora is still that of step 6."""
    config = json.loads((run / "config.json").read_text())
    config["finetune"]["steps"] = 10
    (run / "config.json").write_text(json.dumps(config))
    assert find_adapter(run).parent.name == "step-000006"


def test_a_run_without_a_checkpoint_has_no_adapter(run: Path) -> None:
    shutil.rmtree(run / "lora")
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(InputError, match="No adapter at .* Give the folder of a run that has a checkpoint"):
        find_adapter(run)


def test_the_adapter_of_an_unfinished_run_alone(run: Path, tmp_path: Path) -> None:
    """The very matrices of the checkpoint, under the names that `load_lora_weights` reads."""
    cut_off(run)
    folder = export_adapter(run, tmp_path / "adapter")
    assert same(weights(folder), weights(run / "checkpoints" / "step-000004"))
    assert all(name.startswith("unet.") for name in weights(folder))


def test_an_unfinished_run_merged(toy: Backbone, run: Path, tmp_path: Path) -> None:
    """W + B A of the newest checkpoint, in every projection."""
    cut_off(run)
    base = save_backbone(toy, tmp_path / "base")
    folder = export_merged(base, run, tmp_path / "merged", device="cpu")
    expected = load_backbone(base).unet
    load_lora(expected, run / "checkpoints" / "step-000004")
    merge_lora(expected)
    stored = load_file(next((folder / "unet").glob("*.safetensors")))
    assert_close(stored, dict(expected.state_dict()))


def test_the_model_is_not_replaced_by_the_merged_one(toy: Backbone, run: Path, tmp_path: Path) -> None:
    base = save_backbone(toy, tmp_path / "base")
    before = {path: path.read_bytes() for path in base.rglob("*.safetensors")}
    for folder in (base, tmp_path / "run" / ".." / "base"):
        with pytest.raises(InputError, match="is the model itself, which would be lost: give another folder"):
            export_merged(base, run, folder, device="cpu")
    assert {path: path.read_bytes() for path in before} == before


def test_an_adapter_of_another_format_is_not_copied(run: Path, tmp_path: Path) -> None:
    state = {name.replace("unet.", "base_model.model."): tensor for name, tensor in weights(run / "lora").items()}
    save_file(state, tmp_path / "adapter_model.safetensors")
    with pytest.raises(InputError, match="not in diffusers' format: it can be merged"):
        export_adapter(tmp_path / "adapter_model.safetensors", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_model_of_a_run(run: Path) -> None:
    with pytest.raises(InputError, match="a model that has no name .*: give the model, too"):
        model_of(run)
    (run / "config.json").write_text('{"model": "modelscope"}')
    assert model_of(run) == "modelscope"
    with pytest.raises(InputError, match="is not the folder of a run .*: give the model, too"):
        model_of(run / "lora")
