"""A pipeline folder and an HPSv2 checkpoint of full size with random weights: the cost of the real models without them.

    python benchmarks/full_size.py --out runs/full               # ModelScope-1.7B's shapes, half precision, 4 GB
    python benchmarks/full_size.py --out runs/eighth --divide 8  # an eighth of every width, for a CPU

Writes OUT/model (a folder for --model), and OUT/HPS_v2_compressed.pt (for --reward hpsv2:FILE) or, with --divide,
OUT/reward (a folder for --reward). What such models make is noise; what they need in time and memory is what the real
ones need.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import open_clip
import torch
from torch import Tensor

from ivtutorial.method.flow import FlowSchedule
from ivtutorial.models.backbone import Backbone
from ivtutorial.models.backbone_folder import save_backbone
from ivtutorial.models.dit import WanBackbone
from ivtutorial.models.scheduler import make_scheduler
from ivtutorial.models.unet import VideoUNet
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.rewards.hpsv2 import sequence_first
from ivtutorial.system.files import atomic_write


def random_backbone(divide: int, seed: int, device: str, shallow: bool = False) -> Backbone:
    """ModelScope-1.7B's five parts with random weights.

    Args:
        divide: of every width.
        seed: of the weights.
        device: where they are made.
        shallow: two levels of one block each, and one layer of the text encoder.
    """
    from diffusers import AutoencoderKL
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(seed)
    levels = 2 if shallow else 4
    cross, plain = "CrossAttn{}Block3D", "{}Block3D"
    with torch.device(device):
        unet = VideoUNet(
            sample_size=32, block_out_channels=tuple(w // divide for w in (320, 640, 1280, 1280)[:levels]),
            cross_attention_dim=1024 // divide, attention_head_dim=max(64 // divide, 8), norm_num_groups=32 // divide,
            layers_per_block=1 if shallow else 2,
            down_block_types=[name.format("Down") for name in [cross] * (levels - 1) + [plain]],
            up_block_types=[name.format("Up") for name in [plain] + [cross] * (levels - 1)],
        )  # fmt: skip
        vae = AutoencoderKL(
            block_out_channels=[w // divide for w in (128, 256, 512, 512)[:levels]], latent_channels=4,
            sample_size=512, layers_per_block=1 if shallow else 2, norm_num_groups=32 // divide,
            down_block_types=["DownEncoderBlock2D"] * levels, up_block_types=["UpDecoderBlock2D"] * levels,
        )  # fmt: skip
        text = CLIPTextConfig(
            hidden_size=1024 // divide, intermediate_size=4096 // divide, num_attention_heads=16 // divide,
            num_hidden_layers=1 if shallow else 23, hidden_act="gelu", bos_token_id=49406, eos_token_id=49407,
        )  # fmt: skip
        text_encoder = CLIPTextModel(text)
        for name, parameter in unet.named_parameters():
            if ".conv4." in name:  # zero at the start: the last temporal convolutions would do nothing
                torch.nn.init.normal_(parameter, std=0.01)
    return Backbone(unet, vae, text_encoder, clip_tokenizer(), make_scheduler()).freeze()


class NoiseWan(WanBackbone):
    """Wan whose captions are noise of the text encoder's shape; the encoder itself is larger than all the rest."""

    @property
    def text_key(self) -> str:
        """Of no encoder."""
        return "noise"

    def encode_text(self, captions: Sequence[str]) -> list[Tensor]:
        """(8, E) for each caption, always the same."""
        return [torch.randn(8, self.text_width, generator=seeded(caption)) for caption in captions]


def seeded(text: str) -> torch.Generator:
    """A generator for a text."""
    return torch.Generator().manual_seed(zlib.crc32(text.encode()))


def random_wan(divide: int, seed: int, device: str, shallow: bool = False) -> NoiseWan:
    """Wan 2.1 1.3B without its text encoder, with random weights; arguments as for `random_backbone`."""
    from diffusers import AutoencoderKLWan, WanTransformer3DModel

    torch.manual_seed(seed)
    with torch.device(device):
        transformer = WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=12, attention_head_dim=128 // divide, in_channels=16,
            out_channels=16, text_dim=4096 // divide, freq_dim=256, ffn_dim=8960 // divide,
            num_layers=2 if shallow else 30,
        )  # fmt: skip
        vae = AutoencoderKLWan(base_dim=96 // divide, num_res_blocks=1 if shallow else 2)
    backbone = NoiseWan(transformer, vae, FlowSchedule(3.0))
    backbone.freeze()
    return backbone


def half_wan(backbone: NoiseWan, dtype: torch.dtype = torch.bfloat16) -> NoiseWan:
    """Weights in half precision (in place), but for those that diffusers keeps in float32 when it opens a folder."""
    keep = set(backbone.transformer._keep_in_fp32_modules)
    for part in (backbone.transformer, backbone.vae):
        for name, weight in part.named_parameters():
            if part is backbone.vae or not keep & set(name.split(".")):
                weight.data = weight.data.to(dtype)
    return backbone


def clip_tokenizer() -> Any:
    """CLIP's tokenizer in transformers' form, from the vocabulary that open_clip carries."""
    from transformers import CLIPTokenizer

    path = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    with gzip.open(path, "rt", encoding="utf-8") as file:
        merges = file.read().split("\n")[1 : 49152 - 256 - 2 + 1]
    names = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}  # as transformers calls them
    vocabulary = {names.get(token, token): number for token, number in open_clip.SimpleTokenizer().encoder.items()}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
        Path(folder, "merges.txt").write_text("\n".join(["#version: 0.2", *merges]) + "\n", encoding="utf-8")
        Path(folder, "tokenizer_config.json").write_text(
            json.dumps({"tokenizer_class": "CLIPTokenizer", "model_max_length": 77})
        )
        return CLIPTokenizer.from_pretrained(folder)


def random_reward(divide: int, seed: int, device: str, shallow: bool = False) -> ClipReward:
    """HPSv2's network with random weights, in single precision; arguments as for the backbone."""
    torch.manual_seed(seed)
    config = open_clip.get_model_config("ViT-H-14")
    config["embed_dim"] //= divide
    config["vision_cfg"] |= {"width": 1280 // divide, "head_width": 80 // divide}
    config["text_cfg"] |= {"width": 1024 // divide, "heads": 16 // divide}
    if shallow:
        config["vision_cfg"] |= {"layers": 1, "image_size": 56}
        config["text_cfg"]["layers"] = 1
    with torch.device(device):
        model = open_clip.CLIP(**config)
    sequence_first(model.visual)  # as `load_hpsv2` does
    model.visual.image_mean, model.visual.image_std = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    return ClipReward(model, open_clip.SimpleTokenizer(), config).to(device)


def write_reward(out: Path, divide: int, seed: int, device: str) -> Path:
    """The same as a file: at full size as HPSv2's checkpoint, else as a folder."""
    reward = random_reward(divide, seed, device)
    if divide > 1:
        return reward.save(out / "reward", torch.float16)
    with atomic_write(out / "HPS_v2_compressed.pt") as file:
        state = {name: tensor.to("cpu", torch.float16) for name, tensor in reward.model.state_dict().items()}
        torch.save({"state_dict": state}, file)
    return out / "HPS_v2_compressed.pt"


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/full"))
    parser.add_argument("--divide", type=int, default=1, choices=(1, 2, 4, 8), help="divide every width by this")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    backbone = random_backbone(options.divide, options.seed, device)
    save_backbone(backbone, options.out / "model", torch.float16)
    reward = write_reward(options.out, options.divide, options.seed, device)
    print(f"{sum(p.numel() for p in backbone.unet.parameters()):,} parameters in {options.out / 'model'}; {reward}")


if __name__ == "__main__":
    main()
