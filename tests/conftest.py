"""Shared fixtures: a tiny random text-to-video model of the real one's classes, and golden values."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.golden_folder import golden_folder

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

# The models of the tests are so small that a second thread costs more than it brings. torch reads this when
# it is imported, which has not happened yet.
os.environ.setdefault("OMP_NUM_THREADS", "1")

REAL_CLIPS = Path(os.environ.get("IVTUTORIAL_REAL_CLIPS", Path(__file__).parents[2] / "shared" / "real_clips"))
GOLDEN = golden_folder()
WORDS = ("a", "the", "fox", "deer", "red", "running", "snow")


class GoldenFixture:
    """One fixture of the golden folder: `manifest` (settings, cases, tolerances) and `tensors` in float32."""

    def __init__(self, name: str) -> None:
        from safetensors.torch import load_file

        if not (GOLDEN / f"{name}.json").is_file():
            pytest.skip(f"{name} is not among the golden values in {GOLDEN}; set IVTUTORIAL_GOLDEN to the larger set")
        self.manifest: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
        stored = load_file(GOLDEN / f"{name}.safetensors")
        self.tensors = {k: v.float() if v.is_floating_point() and v.itemsize < 4 else v for k, v in stored.items()}

    def tolerance(self, what: str) -> float:
        return float(self.manifest["tolerance"][what]["value"])


@pytest.fixture(scope="session")
def golden() -> type[GoldenFixture]:
    """`golden("unet_a")` opens one golden fixture, or skips the test with a reason."""
    return GoldenFixture


@pytest.fixture(scope="session")
def real_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips with captions.csv, 16 frames of 256x256 at 8 a second: real ones where there are some, else drawn."""
    if (REAL_CLIPS / "captions.csv").is_file():
        return REAL_CLIPS
    import numpy as np

    from ivtutorial.video import write_video

    folder, rows, columns = tmp_path_factory.mktemp("clips"), *np.indices((256, 256))
    captions = ("adorable rabbit", "barbary sheep", "bird eagle", "cat walking")
    for number in range(len(captions)):
        waves = [np.sin((columns + 9 * frame) / (7 + number)) * np.cos(rows / (5 + number)) for frame in range(16)]
        grey = (127 + 100 * np.stack(waves)).astype(np.uint8)
        write_video(folder / f"{number}.mp4", np.stack([grey, np.roll(grey, 20, 2), grey[:, ::-1]], -1), fps=8)
    table = [f"{number}.mp4,{caption}" for number, caption in enumerate(captions)]
    (folder / "captions.csv").write_text("\n".join(["video,caption", *table]) + "\n")
    return folder


@pytest.fixture(scope="session")
def bfloat16_attention() -> None:
    """Skips where torch has no such attention: 2.15 with ATEN_CPU_CAPABILITY=default on a processor with AMX."""
    import torch

    query = torch.zeros(2, 4, 64, 8, dtype=torch.bfloat16)
    try:
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    except RuntimeError as error:
        pytest.skip(f"torch cannot attend in bfloat16 with these kernels: {error}")


@pytest.fixture(scope="session")
def tiny_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A byte-level BPE CLIPTokenizer with a handful of merged words: any text has tokens, emoji included."""
    from transformers import CLIPTokenizer

    folder = tmp_path_factory.mktemp("tiny_tokenizer")
    tokens, merges = _tiny_vocabulary()
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
    settings = {"tokenizer_class": "CLIPTokenizer", "model_max_length": 16}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return CLIPTokenizer.from_pretrained(folder)


def _tiny_vocabulary() -> tuple[list[str], list[str]]:
    """Tokens and merges: all bytes, inside a word and at its end, and WORDS built up from their ends."""
    # Printable bytes stand for themselves; the others are shown as characters from 256 on, as GPT-2 does.
    printable = {*range(33, 127), *range(161, 173), *range(174, 256)}
    letters = [chr(b) for b in sorted(printable)] + [chr(256 + i) for i in range(256 - len(printable))]
    tokens, merges = letters + [letter + "</w>" for letter in letters], []
    for word in WORDS:
        end = word[-1] + "</w>"
        for letter in reversed(word[:-1]):
            merges.append(f"{letter} {end}")
            end = letter + end
            tokens.append(end)
    # The end token has the highest id: CLIP's text tower finds the end of a caption by it.
    return [*dict.fromkeys(tokens), "<|startoftext|>", "<|endoftext|>"], list(dict.fromkeys(merges))


def _tiny_unet() -> Any:
    from ivtutorial.models.unet import VideoUNet

    return VideoUNet(
        sample_size=8,
        block_out_channels=(32, 32),
        down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
        up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=8,
        norm_num_groups=8,
    )


def _tiny_vae() -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 8, 8),
        norm_num_groups=4,
        latent_channels=4,
        sample_size=64,
        scaling_factor=0.18215,
    )


@pytest.fixture(scope="session")
def tiny_backbone(tiny_tokenizer: Any) -> Backbone:
    """Random, frozen, in eval mode: 8x8 latents of 4 channels, 64x64 frames, eps-prediction."""
    import torch
    from diffusers import DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    from ivtutorial.models.backbone import Backbone

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        unet, vae = _tiny_unet(), _tiny_vae()
        sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
        ids = {"bos_token_id": tiny_tokenizer.bos_token_id, "eos_token_id": tiny_tokenizer.eos_token_id}
        config = CLIPTextConfig(vocab_size=len(tiny_tokenizer), max_position_embeddings=16, **sizes, **ids)
        text_encoder = CLIPTextModel(config)
        for name, parameter in unet.named_parameters():
            # The last temporal convolutions start at zero; a test of the whole model needs them to matter.
            if ".conv4." in name:
                torch.nn.init.normal_(parameter, std=0.1)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        set_alpha_to_one=False,
        clip_sample=False,
    )
    return Backbone(unet, vae, text_encoder, tiny_tokenizer, scheduler).freeze()


@pytest.fixture
def fresh_backbone(tiny_backbone: Backbone) -> Backbone:
    """A copy of `tiny_backbone` that a test may change: attach adapters, train, merge."""
    return copy.deepcopy(tiny_backbone).to("cpu")  # moving forgets the remembered captions
