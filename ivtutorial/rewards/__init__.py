"""Image rewards: frames in [0, 1] and captions in, one differentiable score per frame out (chapters 3 and 15).

| module              | holds                                             |
|---------------------|---------------------------------------------------|
| `base`              | what an image reward is                           |
| `caption_limit`     | how much of a caption a reward reads              |
| `named`             | all of them by name, and your own                 |
| `shipped`           | those that come with the package, as a table      |
| `clip`              | the cosine of open_clip's features                |
| `transformers_clip` | the cosine of transformers' CLIP; PickScore       |
| `hpsv2`             | HPSv2 and HPSv2.1                                 |
| `imagereward`       | ImageReward                                       |
| `aesthetic`         | LAION's aesthetic score                           |
| `combine`           | weighted sums; recomputation in the backward pass |
| `preprocess`        | from a frame to what a reward model looks at      |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
