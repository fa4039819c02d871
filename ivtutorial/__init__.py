"""InstructVideo (CVPR 2024) in small, tested parts: reward fine-tuning of text-to-video diffusion models as editing.

`import ivtutorial as iv` loads nothing heavy; a name is imported when it is first used. The six jobs:

| call          | from                        | to                                 |
|---------------|-----------------------------|------------------------------------|
| `iv.prepare`  | video files and captions    | a checked, encoded training set    |
| `iv.finetune` | a model, clips and a reward | an adapter                         |
| `iv.generate` | prompts                     | clips                              |
| `iv.score`    | clips and captions          | their reward                       |
| `iv.evaluate` | prompts                     | clips, and a table of measurements |
| `iv.compare`  | two evaluations             | paired changes with intervals      |

`__init__.pyi` lists everything that is offered here. Each folder offers more of its own: `ivtutorial.rewards`, ...
"""

from importlib.metadata import PackageNotFoundError, version

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)

try:
    __version__ = version("ivtutorial")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0+unknown"
