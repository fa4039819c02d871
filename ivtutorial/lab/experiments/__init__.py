"""The paper's figures and tables, made again in the reduced world: from seeds to a plot and a JSON file.

| module      | holds                                                                          |
|-------------|--------------------------------------------------------------------------------|
| `plan`      | what an experiment is: arms, seeds, prompts, budget; the cost of a step        |
| `catalogue` | fig5a, fig5b, fig5c, fig7, fig8, fig9, table1, tableA1, figA1, figA7, guards   |
| `measured`  | evaluations at the moments of a run                                            |
| `frontier`  | cheaper gradients against the paper's: arms, table, questions                  |
| `peak`      | memory of a step, counted                                                      |
| `clip_sets` | the clips to fine-tune on, of web quality or clean                             |
| `vivid`     | a second reward, for figA7                                                     |
| `measuring` | where runs lie; their evaluations, strips of frames                            |
| `runner`    | fine-tune and measure, going on where an interrupted experiment stopped        |
| `results`   | from measurements to the JSON file                                             |
| `contrasts` | two arms by run and prompt: differences, intervals, verdicts                   |
| `plots`     | from the JSON file to a picture                                                |
| `claims`    | the paper's nine claims as conditions on the JSON files                        |
| `verdicts`  | what the JSON files say of the claims                                          |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
