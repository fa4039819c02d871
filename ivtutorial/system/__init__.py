"""Files, processes, and what a result was made with.

| module          | holds                                                             |
|-----------------|-------------------------------------------------------------------|
| `files`         | files written whole or not at all; shipped data; hashes           |
| `processes`     | a function run in several processes                               |
| `step_draws`    | draws of a step that do not depend on the number of processes     |
| `share`         | the share of one of several processes, and what all of them found |
| `moving_average` | averages of parameters along a run                               |
| `at_rest`       | what is made from weights, once while they do not change          |
| `progress`      | progress bars                                                     |
| `device`        | the GPU or the CPU                                                |
| `interruption`  | Ctrl-C and SIGTERM noted, so that a step can finish               |
| `out_of_memory` | which settings to turn, in which order                            |
| `repeatable`    | a GPU's results bit for bit                                       |
| `quiet`         | libraries held back from warning                                  |
| `provenance`    | versions, hardware, commit and date                               |
| `lazy`          | the doors of the package and its rooms                            |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
