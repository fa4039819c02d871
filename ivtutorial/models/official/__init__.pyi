from ivtutorial.models.official.checkpoint import Converted as Converted, convert_checkpoint as convert_checkpoint
from ivtutorial.models.official.names import (
    lora_from_official as lora_from_official,
    unet_from_official as unet_from_official,
)
