"""HPSv2, the reward of the paper: a CLIP ViT-H/14 that was tuned on people's choices between pictures (Sec. 3.2.2).

| version | file in `xswu/HPSv2` on the hub | use |
|---|---|---|
| v2.0 | HPS_v2_compressed.pt | the paper trains and reports with it |
| v2.1 | HPS_v2.1_compressed.pt | trained on data of higher quality, its authors say; its scores are higher |

The score is the plain cosine, near 0.2 to 0.3. Scores of different versions, or of different preprocessing, are not
comparable, and scores of different captions hardly are.

The network is built without memory and filled with the tensors of the file, so that loading needs the room of one
model, not two.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from ivtutorial.errors import InputError
from ivtutorial.rewards.clip import ClipReward
from ivtutorial.system.quiet import no_warnings
from ivtutorial.weights.files import fill, read_weights, tensors_of
from ivtutorial.weights.hub import check_sha256, local_or_hub

HUB_NAME = "xswu/HPSv2"
FILES = {"v2.0": "HPS_v2_compressed.pt", "v2.1": "HPS_v2.1_compressed.pt"}
ARCHITECTURE = "ViT-H-14"


def load_hpsv2(
    path: str | Path | None = None,
    version: str = "v2.0",
    preprocessing: str = "official",
    dtype: torch.dtype = torch.float32,
    sha256: str | None = None,
) -> ClipReward:
    """The HPSv2 reward, on the CPU.

    Args:
        path: a checkpoint file, a folder with the published file name in it, a hub name, or None for `xswu/HPSv2`.
            What the hub gives is checked by the hash that the hub states.
        version: "v2.0" or "v2.1": decides which file is taken. The networks are alike.
        preprocessing: "official" to train as the authors do, "hpsv2" for the scores of the hpsv2 package.
        dtype: of the weights in memory; scores are float32 in any case.
        sha256: of the file, to be checked; None trusts a local file.

    Raises:
        InputError: unknown version, no such file or download, another hash, or a file that does not hold this model.

    Example:
        >>> reward = load_hpsv2("HPS_v2_compressed.pt", dtype=torch.float16).to("cuda")  # doctest: +SKIP
    """
    import open_clip

    if version not in FILES:
        raise InputError(f"Unknown HPSv2 version {version!r}. Choose one of {', '.join(FILES)}.")
    file = local_or_hub(path, FILES[version], HUB_NAME, "HPSv2 checkpoint")
    if sha256 is not None:
        check_sha256(file, sha256)
    state = tensors_of(read_weights(file, f"HPSv2 {version} weights"), file, "state_dict")
    with no_warnings(), torch.device("meta"):
        model = open_clip.create_model(ARCHITECTURE, device="meta")
    fill(model, state, file, f"HPSv2 {version} ({ARCHITECTURE})", assign=True)
    length = model.positional_embedding.shape[0]
    # The one buffer that is not stored: a caption's tokens see only what came before them.
    model.attn_mask = torch.full((length, length), float("-inf")).triu(1)
    config = open_clip.get_model_config(ARCHITECTURE)
    sequence_first(model.visual)
    return ClipReward(model.to(dtype), open_clip.get_tokenizer(ARCHITECTURE), config, preprocessing)


def load_hpsv2_1(path: str | Path | None = None, dtype: torch.dtype = torch.float32) -> ClipReward:
    """HPSv2.1; arguments and errors as `load_hpsv2`."""
    return load_hpsv2(path, "v2.1", dtype=dtype)


def sequence_first(visual: Any) -> None:
    """Let the blocks of open_clip's vision transformer run on (S, N, E) in place of (N, S, E) (in place).

    PyTorch's attention works on (S, N, E). From (N, S, E) it takes a transposed view, and a frozen projection of such a
    view becomes S small products with S copies of its weight, forward and backward. The numbers stay the same.

    Args:
        visual: the image tower; one of another kind stays as it is.
    """
    transformer = getattr(visual, "transformer", None)
    blocks = getattr(transformer, "resblocks", ())
    if transformer is None or not all(isinstance(block.attn, nn.MultiheadAttention) for block in blocks):
        return
    transformer.batch_first = False
    for block in blocks:
        block.attn.batch_first = False
