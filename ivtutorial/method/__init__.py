"""The paper's Section 3, one module an idea.

| module          | holds                                                   | in the paper      |
|-----------------|---------------------------------------------------------|-------------------|
| `schedule`      | which timesteps a chain visits                          | Eq. 3, 4          |
| `flow`          | models trained by flow matching in the same chain       | -                 |
| `noise`         | noising a clip; what the network is trained to output   | Eq. 1, 5          |
| `ddim`          | one step back                                           | Sec. 3.2.1        |
| `chain`         | the partial chain, and the steps that carry gradient    | Eq. 4, Sec. 3.2.1 |
| `gain`          | how much of a step's output reaches z_0                 |                   |
| `editing`       | noising a clip, then the partial chain                  | Sec. 3.2.1        |
| `segvr`         | one frame of every segment                              | Eq. 6             |
| `tar`           | temporal attenuation                                    | Eq. 7             |
| `video_reward`  | the reward of a video                                   | Eq. 8             |
| `instructvideo` | the whole step on one screen                            | Eq. 2, 9          |
| `two_phase`     | the reward's gradient first, then the chain's           |                   |
| `settings`      | what all methods have in common                         |                   |
| `batch`         | the clips and captions that a step works on             |                   |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
