from ivtutorial.models.wan.backbone import WanBackbone as WanBackbone
from ivtutorial.models.wan.decoding import (
    FRAMES_PER_LATENT as FRAMES_PER_LATENT,
    chunk_of as chunk_of,
    decode_chosen as decode_chosen,
    frame_count as frame_count,
    from_vae as from_vae,
    to_vae as to_vae,
)
from ivtutorial.models.wan.prompts import encode_prompts as encode_prompts, pad_prompts as pad_prompts
