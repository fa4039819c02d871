"""`make demo`: fine-tune the small model, compare before and after.

| module    | holds                       |
|-----------|-----------------------------|
| `run`     | the job                     |
| `config`  | its settings                |
| `summary` | its numbers                 |
| `report`  | its page                    |
| `texts`   | what the page says in words |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
