from ivtutorial.data.clips import load_frames as load_frames, read_clips as read_clips, write_clips as write_clips
from ivtutorial.data.lists import Clip as Clip
from ivtutorial.data.preparation import Prepared as Prepared, prepare as prepare
from ivtutorial.data.prompts import Prompt as Prompt, read_prompts as read_prompts
from ivtutorial.errors import InputError as InputError
from ivtutorial.evaluation.comparison import Comparison as Comparison, compare as compare
from ivtutorial.evaluation.evaluation import evaluate as evaluate
from ivtutorial.evaluation.scoring import Scores as Scores, score as score
from ivtutorial.evaluation.table import Evaluation as Evaluation
from ivtutorial.method.batch import Batch as Batch
from ivtutorial.method.chain import denoise as denoise, sample as sample
from ivtutorial.method.editing import edit as edit
from ivtutorial.method.instructvideo import InstructVideo as InstructVideo
from ivtutorial.method.noise import corrupt as corrupt
from ivtutorial.method.schedule import (
    ddim_timestep as ddim_timestep,
    ddim_timesteps as ddim_timesteps,
    noising_timestep as noising_timestep,
    partial_steps as partial_steps,
)
from ivtutorial.method.segvr import choose_frames as choose_frames
from ivtutorial.method.tar import temporal_attenuation as temporal_attenuation
from ivtutorial.method.video_reward import VideoReward as VideoReward
from ivtutorial.models.backbone import Backbone as Backbone
from ivtutorial.models.backbone_folder import load_backbone as load_backbone, save_backbone as save_backbone
from ivtutorial.models.lora import (
    attach_lora as attach_lora,
    load_lora as load_lora,
    merge_lora as merge_lora,
    save_lora as save_lora,
    set_lora_scale as set_lora_scale,
)
from ivtutorial.models.memory import Memory as Memory
from ivtutorial.models.named import open_model as open_model
from ivtutorial.models.scheduler import make_scheduler as make_scheduler
from ivtutorial.pages.embed import html_video as html_video
from ivtutorial.rewards.base import ImageReward as ImageReward
from ivtutorial.rewards.clip import ClipReward as ClipReward
from ivtutorial.rewards.combine import WeightedSum as WeightedSum
from ivtutorial.rewards.hpsv2 import load_hpsv2 as load_hpsv2
from ivtutorial.rewards.named import open_reward as open_reward
from ivtutorial.rivals.ddpo import DDPO as DDPO
from ivtutorial.rivals.direct_align import DirectAlign as DirectAlign
from ivtutorial.rivals.draft import Draft as Draft
from ivtutorial.rivals.kept_prefix import KeptPrefix as KeptPrefix
from ivtutorial.rivals.quick_edit import QuickEdit as QuickEdit
from ivtutorial.rivals.rwr import RWR as RWR
from ivtutorial.rivals.supervised import Supervised as Supervised
from ivtutorial.sampling.generation import Sampling as Sampling, generate as generate
from ivtutorial.sampling.training_clips import sample_clips as sample_clips
from ivtutorial.training.config import FinetuneConfig as FinetuneConfig, read_config as read_config
from ivtutorial.training.finetuning import export_merged as export_merged, finetune as finetune
from ivtutorial.training.guards import Guards as Guards
from ivtutorial.training.presets import preset as preset
from ivtutorial.training.run_folder import FinetuneResult as FinetuneResult, read_metrics as read_metrics
from ivtutorial.video.reader import read_video as read_video
from ivtutorial.video.sheet import contact_sheet as contact_sheet
from ivtutorial.video.writer import write_video as write_video

__version__: str
