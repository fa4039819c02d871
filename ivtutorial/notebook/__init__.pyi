from ivtutorial.notebook.costs import print_cost as print_cost, saved_bytes as saved_bytes
from ivtutorial.notebook.exercises import check as check
from ivtutorial.notebook.in_page import (
    StepSizes as StepSizes,
    choice_head as choice_head,
    step_calculator as step_calculator,
)
from ivtutorial.notebook.playgrounds import line_world as line_world, noise_circle as noise_circle
from ivtutorial.notebook.scale import Scale as Scale, open_scale as open_scale, seeded as seeded
from ivtutorial.notebook.style import (
    BLUE as BLUE,
    GREEN as GREEN,
    GREY as GREY,
    OKABE_ITO as OKABE_ITO,
    ORANGE as ORANGE,
    PINK as PINK,
    YELLOW as YELLOW,
    frame_row as frame_row,
    use_style as use_style,
)
from ivtutorial.notebook.widgets import clip_row as clip_row, film_strip as film_strip, stepper as stepper
from ivtutorial.pages.embed import picture as picture
