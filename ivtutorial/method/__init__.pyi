from ivtutorial.method.batch import Batch as Batch, motion as motion
from ivtutorial.method.chain import denoise as denoise, last_k as last_k, network_mode as network_mode, sample as sample
from ivtutorial.method.ddim import ddim_moments as ddim_moments, ddim_step as ddim_step
from ivtutorial.method.editing import corrupt as corrupt, draw_noise as draw_noise, edit as edit
from ivtutorial.method.instructvideo import InstructVideo as InstructVideo, edit_batch as edit_batch, loss as loss
from ivtutorial.method.schedule import (
    ddim_timestep as ddim_timestep,
    ddim_timesteps as ddim_timesteps,
    make_scheduler as make_scheduler,
    noising_timestep as noising_timestep,
    partial_steps as partial_steps,
    partial_timesteps as partial_timesteps,
)
from ivtutorial.method.settings import RewardMethod as RewardMethod, gradient_steps as gradient_steps
from ivtutorial.method.video_reward import (
    VideoReward as VideoReward,
    VideoRewardOutput as VideoRewardOutput,
    choose_frames as choose_frames,
    temporal_attenuation as temporal_attenuation,
)
