"""A blind study with people, as the paper's Table 2: pairs of clips side by side, two questions, answers kept safely.

| module      | what it holds                                                                                     |
|-------------|---------------------------------------------------------------------------------------------------|
| `pairs`     | the pairs of two evaluation folders, and who sees which of them when, and on which side           |
| `answers`   | the CSV file of answers: one row an answer, on the disk before the next question comes            |
| `session`   | one rater's way through the questions; goes on where it stopped                                   |
| `server`    | the local page, `ivtutorial study`                                                                |
| `page`      | its HTML                                                                                          |
| `quiz`      | the same on a page without a kernel                                                               |
| `result`    | wins, ties and losses with intervals, agreement of the raters, `ivtutorial study-result`          |
| `simulated` | raters whose preference is known, to try a study out before people give their time                |

Clip X is from the first folder and clip Y from the second; whoever answers sees only a left and a right one.
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
