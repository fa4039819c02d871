from ivtutorial.sampling.clip_files import generate_files as generate_files
from ivtutorial.sampling.generation import (
    Job as Job,
    Sampling as Sampling,
    clip_generator as clip_generator,
    generate as generate,
    make_jobs as make_jobs,
)
from ivtutorial.sampling.training_clips import sample_clips as sample_clips
