"""From prompts to clips.

| module           | holds                                             |
|------------------|---------------------------------------------------|
| `generation`     | `generate`: the full DDIM chain from noise        |
| `clip_files`     | `generate_files`: the same, clip by clip to disk  |
| `settings`       | `Sampling`: steps, size, precision; and where     |
| `training_clips` | a training set sampled from the base model itself |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
