from ivtutorial.rewards.aesthetic import (
    AestheticReward as AestheticReward,
    load_aesthetic as load_aesthetic,
    score_head as score_head,
)
from ivtutorial.rewards.base import HasTextTower as HasTextTower, ImageReward as ImageReward
from ivtutorial.rewards.clip import ClipReward as ClipReward
from ivtutorial.rewards.combine import Recomputed as Recomputed, WeightedSum as WeightedSum
from ivtutorial.rewards.hpsv2 import load_hpsv2 as load_hpsv2
from ivtutorial.rewards.imagereward import BlipReward as BlipReward, load_imagereward as load_imagereward
from ivtutorial.rewards.named import open_named as open_named, open_reward as open_reward
from ivtutorial.rewards.preprocess import (
    normalise as normalise,
    resize_and_crop as resize_and_crop,
    resize_and_pad as resize_and_pad,
)
from ivtutorial.rewards.transformers_clip import (
    HfClip as HfClip,
    load_clip_score as load_clip_score,
    load_pickscore as load_pickscore,
)
