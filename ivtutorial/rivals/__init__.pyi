from ivtutorial.rivals.copies import low_variance as low_variance, tail as tail
from ivtutorial.rivals.ddpo import (
    DDPO as DDPO,
    clipped_loss as clipped_loss,
    gaussian_log_prob as gaussian_log_prob,
    roll_out as roll_out,
    step_moments as step_moments,
    surrogate as surrogate,
)
from ivtutorial.rivals.denoising import denoising_errors as denoising_errors, draw_timesteps as draw_timesteps
from ivtutorial.rivals.direct_align import (
    DirectAlign as DirectAlign,
    direct_gain as direct_gain,
    draw_moves as draw_moves,
    recovered as recovered,
)
from ivtutorial.rivals.draft import Draft as Draft, sample_batch as sample_batch
from ivtutorial.rivals.groups import group_advantages as group_advantages, score_groups as score_groups
from ivtutorial.rivals.kept_prefix import KeptPrefix as KeptPrefix
from ivtutorial.rivals.quick_edit import QuickEdit as QuickEdit
from ivtutorial.rivals.rwr import RWR as RWR, rwr_weights as rwr_weights, weighted_loss as weighted_loss
from ivtutorial.rivals.supervised import Supervised as Supervised
