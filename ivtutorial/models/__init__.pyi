from ivtutorial.models.backbone import Backbone as Backbone
from ivtutorial.models.backbone_folder import load_backbone as load_backbone, save_backbone as save_backbone
from ivtutorial.models.dit.cogvideox import ZeroSnrSchedule as ZeroSnrSchedule
from ivtutorial.models.dit.wan import WanBackbone as WanBackbone, WanDecoder as WanDecoder, to_vae as to_vae
from ivtutorial.models.flow_view import FlowBackbone as FlowBackbone, as_flow as as_flow
from ivtutorial.models.lora import (
    TARGETS as TARGETS,
    attach_lora as attach_lora,
    count_lora as count_lora,
    has_lora as has_lora,
    load_lora as load_lora,
    lora_layers as lora_layers,
    lora_parameters as lora_parameters,
    merge_lora as merge_lora,
    save_lora as save_lora,
    set_lora_scale as set_lora_scale,
)
from ivtutorial.models.memory import DTYPES as DTYPES, Memory as Memory
from ivtutorial.models.modes import network_mode as network_mode
from ivtutorial.models.named import model_location as model_location, open_model as open_model
from ivtutorial.models.official.checkpoint import convert_checkpoint as convert_checkpoint
from ivtutorial.models.precision import choose_precision as choose_precision, has_fast_bf16 as has_fast_bf16
from ivtutorial.models.scheduler import (
    make_scheduler as make_scheduler,
    noise_share as noise_share,
    same_noise as same_noise,
    tau_of_noise as tau_of_noise,
)
from ivtutorial.models.unet import RECOMPUTED_BLOCKS as RECOMPUTED_BLOCKS, VideoUNet as VideoUNet
