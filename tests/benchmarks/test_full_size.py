"""The whole path at full depth and an eighth of every width: folder, clips, command, a folder for stock diffusers.

Everything is that of the full size but the numbers of channels: the blocks, the 264 adapted projections, CLIP's own
tokens, the 32 layers of HPSv2's network. So what fits together here fits together there.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file

from ivtutorial.cli import main
from ivtutorial.models.backbone_folder import save_backbone
from ivtutorial.models.lora import LORA_FILE
from ivtutorial.training.run_folder import read_metrics
from ivtutorial.video.writer import write_video
from tests.conftest import REAL_CLIPS

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
# In a process that has never heard of this package.
FRESH = """
import sys
import torch
from diffusers import TextToVideoSDPipeline
pipe = TextToVideoSDPipeline.from_pretrained(sys.argv[1], torch_dtype=torch.float32)  # stored in half precision
pipe.set_progress_bar_config(disable=True)
frames = pipe("a rabbit", num_frames=2, num_inference_steps=1, height=64, width=64, output_type="np").frames
assert "ivtutorial" not in sys.modules
print(type(pipe.unet).__name__, frames.shape, bool((frames >= 0).all() and (frames <= 1).all()))
"""


@pytest.fixture(scope="module")
def eighth(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`model`, a pipeline folder, and `reward`, as `benchmarks/full_size.py --divide 8` writes them."""
    out = tmp_path_factory.mktemp("eighth")
    sys.path.insert(0, str(BENCHMARKS))
    try:
        full_size: Any = importlib.import_module("full_size")
    finally:
        sys.path.remove(str(BENCHMARKS))
    import torch

    save_backbone(full_size.random_backbone(8, 0, "cpu"), out / "model", torch.float16)
    full_size.write_reward(out, 8, 0, "cpu")
    return out


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real clips where there are some, else two drifting bars of another size and rate than the model's."""
    if (REAL_CLIPS / "captions.csv").is_file():
        return REAL_CLIPS
    folder = tmp_path_factory.mktemp("clips")
    for place, name in enumerate(("fox", "deer")):
        frames = np.full((30, 90, 120, 3), 60 + 60 * place, np.uint8)
        for index in range(30):
            frames[index, :, 3 * index : 3 * index + 20] = (200, 90, 40)
        write_video(folder / f"{name}.mp4", frames, fps=12.0)
    (folder / "captions.csv").write_text("video,caption\nfox.mp4,a running fox\ndeer.mp4,a deer in the snow\n")
    return folder


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "HF_HUB_OFFLINE": "1"}


def test_finetune_on_real_clips_makes_a_folder_for_stock_diffusers(eighth: Path, clips: Path, tmp_path: Path) -> None:
    """Two steps of the command with every saving switched on; small frames and a short chain keep it quick."""
    small = ["--set", "frames=8", "--set", "height=64", "--set", "width=64", "--set", "memory.decode_chunk=1"]
    saving = ["recompute_unet", "recompute_decode", "recompute_reward", "offload_text"]
    saving = [part for name in saving for part in ("--set", f"memory.{name}=true")]
    command = [sys.executable, "-m", "ivtutorial.cli", "finetune", "--data", str(clips), "--out", str(tmp_path / "run")]
    command += ["--model", str(eighth / "model"), "--reward", str(eighth / "reward"), "--merged", str(tmp_path / "new")]
    command += ["--steps", "2", "-D", "4", "--tau", "0.5", "--lr", "1e-3", "--batch-size", "1", "--processes", "1"]
    done = subprocess.run([*command, *small, *saving, "--json"], capture_output=True, text=True, env=environment())
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    # 2 steps, 1 clip, tau D = 2 steps of the chain, both halves of the guidance
    assert (result["steps"], result["skipped"], result["unet_evaluations"]) == (2, 0, 8)
    assert all(np.isfinite(row["loss"]) and row["grad_norm"] > 0 for row in read_metrics(tmp_path / "run"))
    adapter = load_file(tmp_path / "run" / "lora" / LORA_FILE)
    assert len(adapter) == 2 * 264 and any(tensor.any() for name, tensor in adapter.items() if "lora_B" in name)
    fresh = [sys.executable, "-c", FRESH, str(tmp_path / "new")]
    result = subprocess.run(
        fresh, capture_output=True, text=True, env={**environment(), "PYTHONPATH": ""}, cwd=tmp_path
    )
    assert result.stdout.strip() == "UNet3DConditionModel (1, 2, 64, 64, 3) True", result.stderr


def test_finetune_on_real_clips_with_the_shipped_model(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended:
        main(
            ["finetune", "--data", str(clips), "--out", str(tmp_path / "run"), "--steps", "1", "--lr", "1e-3"]
            + ["-D", "5", "--tau", "0.2", "--batch-size", "1", "--processes", "1", "--device", "cpu"]
        )
    assert ended.value.code == 0
    (row,) = read_metrics(tmp_path / "run")
    assert np.isfinite(row["loss"]) and row["grad_norm"] > 0 and row["skipped"] == 0
    assert (tmp_path / "run" / "lora" / LORA_FILE).is_file()
