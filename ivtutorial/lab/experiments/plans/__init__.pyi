from ivtutorial.lab.experiments.plans.blocks import BLOCKS as BLOCKS, cost_text as cost_text, costs as costs
from ivtutorial.lab.experiments.plans.catalogue import (
    BUDGET as BUDGET,
    EXPERIMENTS as EXPERIMENTS,
    experiment as experiment,
    methods as methods,
)
from ivtutorial.lab.experiments.plans.clip_sets import clip_set as clip_set
from ivtutorial.lab.experiments.plans.plan import (
    FRAME_PASSES as FRAME_PASSES,
    Arm as Arm,
    ClipSet as ClipSet,
    Experiment as Experiment,
    step_cost as step_cost,
)
