"""Video files in and out, and pictures of clips.

| module   | holds                                          |
|----------|------------------------------------------------|
| `reader` | video files of any format as clips of F frames |
| `writer` | clips as files                                 |
| `sheet`  | many clips on one picture                      |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
