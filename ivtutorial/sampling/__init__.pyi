from ivtutorial.sampling.clip_files import generate_files as generate_files
from ivtutorial.sampling.generation import (
    Job as Job,
    clip_generator as clip_generator,
    generate as generate,
    make_jobs as make_jobs,
)
from ivtutorial.sampling.settings import Sampling as Sampling
from ivtutorial.sampling.training_clips import sample_clips as sample_clips
