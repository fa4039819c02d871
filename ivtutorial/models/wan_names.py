"""Names of Wan's layers in its authors' code, which adapters of other trainers use.

| authors                                        | diffusers                                           |
|------------------------------------------------|-----------------------------------------------------|
| blocks.N.self_attn.q, .k, .v, .o               | blocks.N.attn1.to_q, .to_k, .to_v, .to_out.0        |
| blocks.N.cross_attn.q, .k, .v, .o              | blocks.N.attn2.to_q, .to_k, .to_v, .to_out.0        |
| blocks.N.ffn.0, .2                             | blocks.N.ffn.net.0.proj, .net.2                     |
| text_embedding.0, .2                           | condition_embedder.text_embedder.linear_1, linear_2 |
| time_embedding.0, .2                           | condition_embedder.time_embedder.linear_1, linear_2 |
| time_projection.1                              | condition_embedder.time_proj                        |
| head.head                                      | proj_out                                            |
"""

from __future__ import annotations

import re

_RULES = (
    (r"^(blocks\.\d+)\.attn1\.to_([qkv])$", r"\1.self_attn.\2"),
    (r"^(blocks\.\d+)\.attn2\.to_([qkv])$", r"\1.cross_attn.\2"),
    (r"^(blocks\.\d+)\.attn1\.to_out\.0$", r"\1.self_attn.o"),
    (r"^(blocks\.\d+)\.attn2\.to_out\.0$", r"\1.cross_attn.o"),
    (r"^(blocks\.\d+)\.ffn\.net\.0\.proj$", r"\1.ffn.0"),
    (r"^(blocks\.\d+)\.ffn\.net\.2$", r"\1.ffn.2"),
    (r"^condition_embedder\.(text|time)_embedder\.linear_1$", r"\1_embedding.0"),
    (r"^condition_embedder\.(text|time)_embedder\.linear_2$", r"\1_embedding.2"),
    (r"^condition_embedder\.time_proj$", "time_projection.1"),
    (r"^proj_out$", "head.head"),
)


def authors_name(name: str) -> str | None:
    """The authors' name of a layer with this name in diffusers; None where it is no layer of Wan.

    Example:
        >>> authors_name("blocks.3.attn2.to_out.0")
        'blocks.3.cross_attn.o'
    """
    for pattern, replacement in _RULES:
        changed, count = re.subn(pattern, replacement, name)
        if count:
            return changed
    return None
