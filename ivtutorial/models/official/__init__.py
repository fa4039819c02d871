"""The authors' weights in diffusers' layout.

| module       | holds                                   |
|--------------|-----------------------------------------|
| `checkpoint` | a whole file as a folder                |
| `names`      | names of weights, theirs and diffusers' |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
