"""The paper's Section 3, one module an idea.

| module          | holds                                                   | in the paper      |
|-----------------|---------------------------------------------------------|-------------------|
| `schedule`      | which timesteps a chain visits                          | Eq. 3, 4          |
| `ddim`          | one step back                                           | Sec. 3.2.1        |
| `chain`         | the partial chain, and the steps that carry gradient    | Eq. 4, Sec. 3.2.1 |
| `editing`       | noising a clip, then the partial chain                  | Eq. 5, Sec. 3.2.1 |
| `video_reward`  | SegVR, TAR and the reward of a video                    | Eq. 6, 7, 8       |
| `instructvideo` | the whole step                                          | Eq. 2, 9          |
| `settings`      | what the methods with a reward have in common           |                   |
| `batch`         | clips, captions and noise that a step works on          |                   |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
