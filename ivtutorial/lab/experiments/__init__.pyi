from ivtutorial.lab.experiments.answers.contrasts import (
    TWINS as TWINS,
    Contrast as Contrast,
    annotators_choice as annotators_choice,
    change as change,
    table_of as table_of,
)
from ivtutorial.lab.experiments.answers.course import at_equal_cost as at_equal_cost
from ivtutorial.lab.experiments.answers.curves import courses as courses, mean_course as mean_course
from ivtutorial.lab.experiments.answers.frontier_table import (
    frontier_questions as frontier_questions,
    frontier_rows as frontier_rows,
    frontier_text as frontier_text,
)
from ivtutorial.lab.experiments.answers.gains import (
    changes_of as changes_of,
    gain_html as gain_html,
    gain_rows as gain_rows,
    gain_text as gain_text,
    runs_words as runs_words,
    shown_changes as shown_changes,
)
from ivtutorial.lab.experiments.answers.plots import (
    draw as draw,
    shown as shown,
    shown_answers as shown_answers,
    shown_strip as shown_strip,
    write_plot as write_plot,
)
from ivtutorial.lab.experiments.answers.questions import (
    Question as Question,
    Rule as Rule,
    read_questions as read_questions,
)
from ivtutorial.lab.experiments.answers.results import (
    change_by_run as change_by_run,
    paired as paired,
    rates_tried as rates_tried,
    read_result as read_result,
    table as table,
    to_be_measured as to_be_measured,
)
from ivtutorial.lab.experiments.answers.simulated_study import (
    SimulatedAnswers as SimulatedAnswers,
    shown_simulated_study as shown_simulated_study,
    simulated_study as simulated_study,
    simulated_study_text as simulated_study_text,
)
from ivtutorial.lab.experiments.answers.story import shown_story as shown_story
from ivtutorial.lab.experiments.answers.verdicts import Claim as Claim, verdict as verdict
from ivtutorial.lab.experiments.answers.words import arm_words as arm_words, list_words as list_words
from ivtutorial.lab.experiments.peak import peak_of_step as peak_of_step
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
from ivtutorial.lab.experiments.runner import run_experiment as run_experiment
