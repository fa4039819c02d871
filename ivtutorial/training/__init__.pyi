from ivtutorial.data.dataset import slot_generator as slot_generator
from ivtutorial.training.checkpoints import latest_checkpoint as latest_checkpoint
from ivtutorial.training.config import FinetuneConfig as FinetuneConfig, read_config as read_config
from ivtutorial.training.finetuning import (
    export_adapter as export_adapter,
    export_merged as export_merged,
    finetune as finetune,
)
from ivtutorial.training.fit import fitted as fitted, offload_text as offload_text
from ivtutorial.training.guards import (
    Guards as Guards,
    adapter_off as adapter_off,
    data_loss as data_loss,
    kl_to_base as kl_to_base,
)
from ivtutorial.training.methods import METHODS as METHODS, step_losses as step_losses
from ivtutorial.training.presets import PRESETS as PRESETS, default_config as default_config, preset as preset
from ivtutorial.training.run_folder import FinetuneResult as FinetuneResult, read_metrics as read_metrics
