from ivtutorial.models.dit.backbone import DitBackbone as DitBackbone
from ivtutorial.models.dit.choosing import decode_chosen as decode_chosen, frame_count as frame_count
from ivtutorial.models.dit.cogvideox import (
    CogVideoXBackbone as CogVideoXBackbone,
    CogVideoXDecoder as CogVideoXDecoder,
    ZeroSnrSchedule as ZeroSnrSchedule,
)
from ivtutorial.models.dit.dit_folder import load_dit as load_dit, save_dit as save_dit
from ivtutorial.models.dit.ltx import (
    LTXBackbone as LTXBackbone,
    LTXDecoder as LTXDecoder,
    LTXSchedule as LTXSchedule,
    ltx_shift as ltx_shift,
)
from ivtutorial.models.dit.parts import Part as Part
from ivtutorial.models.dit.prompts import encode_prompts as encode_prompts, pad_prompts as pad_prompts
from ivtutorial.models.dit.tiny_decoder import (
    TinyDecoder as TinyDecoder,
    load_tiny_decoder as load_tiny_decoder,
    tiny_decoding as tiny_decoding,
)
from ivtutorial.models.dit.wan import (
    WanBackbone as WanBackbone,
    WanDecoder as WanDecoder,
    from_vae as from_vae,
    to_vae as to_vae,
)
