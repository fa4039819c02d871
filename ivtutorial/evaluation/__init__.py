"""Scores, tables of measurements, comparisons and their intervals (chapter 12).

| module       | holds                                              |
|--------------|----------------------------------------------------|
| `scoring`    | `score`: the paper's metric for given clips        |
| `evaluation` | `evaluate`: prompts and seeds to clips and a table |
| `unfinished` | the batches of an evaluation that was interrupted  |
| `table`      | the table, written and read                        |
| `comparison` | `compare`: paired changes from before to after     |
| `judging`    | what a judge is                                    |
| `looks`      | sharpness, colour, flicker and motion of pixels    |
| `intervals`  | means with bootstrap intervals                     |
| `flow`       | what moves in a clip, and how it hangs together    |
| `page`       | the HTML page of an evaluation                     |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
