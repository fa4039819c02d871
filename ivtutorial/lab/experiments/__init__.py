"""The paper's figures and tables, made again in the reduced world: from seeds to a plot and a JSON file.

| module or folder | holds                                                                     |
|------------------|---------------------------------------------------------------------------|
| `plans`          | what is run: experiments, arms, clips, the cost of a step                 |
| `measured`       | evaluations at the moments of a run                                       |
| `measuring`      | where runs lie; their evaluations, strips of frames                       |
| `peak`           | memory of a step, counted                                                 |
| `carried`        | runs that stored results hold, taken over                                 |
| `runner`         | fine-tune and measure, going on where an interrupted experiment stopped   |
| `whole_plan`     | whatever is missing of the whole plan, for as long as there is time       |
| `answers`        | what the results say: tables, intervals, verdicts, pictures               |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
