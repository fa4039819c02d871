from ivtutorial.lab.experiments.answers.contrasts import (
    Contrast as Contrast,
    annotators_choice as annotators_choice,
    change as change,
    table_of as table_of,
    with_ties as with_ties,
)
from ivtutorial.lab.experiments.answers.frontier_table import (
    frontier_questions as frontier_questions,
    frontier_rows as frontier_rows,
    frontier_text as frontier_text,
)
from ivtutorial.lab.experiments.answers.gains import (
    gain_html as gain_html,
    gain_rows as gain_rows,
    gain_text as gain_text,
)
from ivtutorial.lab.experiments.answers.plots import (
    draw as draw,
    shown as shown,
    shown_answers as shown_answers,
    shown_story as shown_story,
    shown_strip as shown_strip,
    write_plot as write_plot,
)
from ivtutorial.lab.experiments.answers.questions import (
    Question as Question,
    Rule as Rule,
    read_questions as read_questions,
)
from ivtutorial.lab.experiments.answers.results import (
    paired as paired,
    rates_tried as rates_tried,
    read_result as read_result,
    table as table,
    to_be_measured as to_be_measured,
)
from ivtutorial.lab.experiments.answers.verdicts import Claim as Claim, verdict as verdict
