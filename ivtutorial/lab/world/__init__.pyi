from ivtutorial.lab.world.annotators import (
    annotate as annotate,
    change_fact as change_fact,
    draw_pair as draw_pair,
    preference as preference,
    preferred as preferred,
    read_utility as read_utility,
    share_of_perfect as share_of_perfect,
    utility as utility,
    with_ties as with_ties,
)
from ivtutorial.lab.world.captions import caption as caption
from ivtutorial.lab.world.clip_set import (
    ClipPlan as ClipPlan,
    draw_clip as draw_clip,
    make_clips as make_clips,
    plan_clips as plan_clips,
)
from ivtutorial.lab.world.drawing.subjects import SPECIES as SPECIES, subject as subject
from ivtutorial.lab.world.facts import (
    ClipFacts as ClipFacts,
    caption_of as caption_of,
    draw_facts as draw_facts,
    render as render,
)
from ivtutorial.lab.world.judges.judge import Judge as Judge, open_judge as open_judge, targets as targets
from ivtutorial.lab.world.preference_quiz import choices as choices, pair_quiz as pair_quiz
from ivtutorial.lab.world.prompt_lists import make_prompts as make_prompts
from ivtutorial.lab.world.samples import (
    Sample as Sample,
    draw_sample as draw_sample,
    look_alikes as look_alikes,
    single_frames as single_frames,
)
from ivtutorial.lab.world.showcase import show_pairs as show_pairs
from ivtutorial.lab.world.web_faults import (
    STRONGEST as STRONGEST,
    WebFaults as WebFaults,
    degrade as degrade,
    draw_faults as draw_faults,
    watermark_box as watermark_box,
)
