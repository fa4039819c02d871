"""Files, processes, and what a result was made with.

| module         | holds                                                   |
|----------------|---------------------------------------------------------|
| `files`        | files written whole or not at all; shipped data; hashes |
| `processes`    | a function run in several processes                     |
| `interruption` | Ctrl-C and SIGTERM noted, so that a step can finish     |
| `provenance`   | versions, hardware, commit and date                     |
| `lazy`         | the doors of the package and its rooms                  |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
