from ivtutorial.method.batch import Batch as Batch, motion as motion, repeated as repeated
from ivtutorial.method.chain import (
    denoise as denoise,
    gradient_steps as gradient_steps,
    sample as sample,
)
from ivtutorial.method.ddim import ddim_moments as ddim_moments, ddim_step as ddim_step
from ivtutorial.method.editing import edit as edit
from ivtutorial.method.flow import (
    FlowSchedule as FlowSchedule,
    LevelSchedule as LevelSchedule,
    chain_timesteps as chain_timesteps,
    flow_levels as flow_levels,
)
from ivtutorial.method.gain import gains as gains, noise_to_signal as noise_to_signal, step_weights as step_weights
from ivtutorial.method.instructvideo import InstructVideo as InstructVideo
from ivtutorial.method.noise import (
    corrupt as corrupt,
    draw_noise as draw_noise,
    level as level,
    split as split,
    target as target,
)
from ivtutorial.method.schedule import (
    ddim_timestep as ddim_timestep,
    ddim_timesteps as ddim_timesteps,
    noising_timestep as noising_timestep,
    partial_steps as partial_steps,
    partial_timesteps as partial_timesteps,
)
from ivtutorial.method.segvr import attenuated_frames as attenuated_frames, choose_frames as choose_frames
from ivtutorial.method.settings import GradientMethod as GradientMethod, RewardMethod as RewardMethod
from ivtutorial.method.tar import temporal_attenuation as temporal_attenuation
from ivtutorial.method.two_phase import cut_off as cut_off, rejoin as rejoin
from ivtutorial.method.video_reward import (
    VideoReward as VideoReward,
    VideoRewardOutput as VideoRewardOutput,
    score_frames as score_frames,
)
