"""The methods that the paper compares InstructVideo with, and what came after it.

| module         | learns from                                            | gradient through the reward |
|----------------|--------------------------------------------------------|-----------------------------|
| `draft`        | samples from noise, D steps, the last K                | yes                         |
| `direct_align` | one step from a noised clip whose noise is known       | yes                         |
| `kept_prefix`  | edits, whose chain serves several updates              | yes                         |
| `quick_edit`   | our combination                                        | yes                         |
| `rwr`          | denoising its own samples, weighted by their reward    | no                          |
| `ddpo`         | policy gradient over its own chains                    | no                          |
| `supervised`   | denoising the training clips                           | no reward                   |
| `denoising`    | the loss of Eq. 1, which some of them share            |                             |
| `copies`       | several rewards of one chain, which some of them share |                             |
| `named`        | the methods by name; a new one gets a row there        |                             |
| `groups`       | scores of several samples of one caption               |                             |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
