"""What is run: experiments as plain values, and the clips and rewards they need.

| module      | holds                                                                          |
|-------------|--------------------------------------------------------------------------------|
| `plan`      | what an experiment is: arms, seeds, prompts, budget; the cost of a step        |
| `catalogue` | fig5a, fig5b, fig5c, fig7, fig8, fig9, table1, tableA1, figA1, figA7, guards   |
| `frontier`  | cheaper gradients against the paper's                                          |
| `late_step` | one call at t = 51, in a fifth of the paper's cost and at equal cost           |
| `blocks`    | the whole plan in order of worth, and what it costs                            |
| `clip_sets` | the clips to fine-tune on: of web quality, with fewer faults, clean            |
| `vivid`     | a second reward, for figA7                                                     |
"""
