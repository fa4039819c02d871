"""What the results say: the JSON file of an experiment, differences with their intervals, verdicts, pictures.

| module           | holds                                                             |
|------------------|-------------------------------------------------------------------|
| `results`        | from measurements to the JSON file                                |
| `contrasts`      | two arms by run and prompt: differences, intervals, verdicts      |
| `claims`         | the paper's nine claims as conditions on the JSON files           |
| `verdicts`       | what the JSON files say of the claims                             |
| `frontier_table` | the frontier's table and its questions                            |
| `plots`          | from the JSON file to a picture                                   |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
