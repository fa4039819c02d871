from ivtutorial.lab.experiments.answers.claims import Condition as Condition
from ivtutorial.lab.experiments.answers.contrasts import (
    Contrast as Contrast,
    annotators_choice as annotators_choice,
    change as change,
)
from ivtutorial.lab.experiments.answers.frontier_table import (
    frontier_rows as frontier_rows,
    frontier_text as frontier_text,
    questions as questions,
)
from ivtutorial.lab.experiments.answers.plots import (
    draw as draw,
    shown as shown,
    shown_strip as shown_strip,
    write_plot as write_plot,
)
from ivtutorial.lab.experiments.answers.results import (
    paired as paired,
    rates_tried as rates_tried,
    read_result as read_result,
    table as table,
    to_be_measured as to_be_measured,
)
from ivtutorial.lab.experiments.answers.verdicts import Claim as Claim, verdict as verdict
from ivtutorial.lab.experiments.peak import peak_of_step as peak_of_step
from ivtutorial.lab.experiments.plans.catalogue import (
    BUDGET as BUDGET,
    EXPERIMENTS as EXPERIMENTS,
    experiment as experiment,
    methods as methods,
)
from ivtutorial.lab.experiments.plans.clip_sets import clip_set as clip_set
from ivtutorial.lab.experiments.plans.plan import (
    Arm as Arm,
    ClipSet as ClipSet,
    Experiment as Experiment,
    step_cost as step_cost,
)
from ivtutorial.lab.experiments.runner import run_experiment as run_experiment
