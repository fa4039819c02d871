"""Clips, captions and prompts: lists, checks, encoded clips, batches.

| module         | holds                                             |
|----------------|---------------------------------------------------|
| `lists`        | every form a list of video-caption pairs comes in |
| `swallowed`    | rows of a table inside one of its cells           |
| `places`       | where the files of a list are, and may be         |
| `text`         | strict reading of text, tables and JSON           |
| `captions`     | what is a caption                                 |
| `clips`        | checked clips, and their frames as tensors        |
| `check`        | what is wrong with which file, and contact sheets |
| `prompts`      | lists of prompts from files                       |
| `preparation`  | `prepare`: from files to a checked, encoded set   |
| `latent_cache` | encoded clips on disk                             |
| `prompt_cache` | encoded captions on disk, for large text encoders |
| `dataset`      | the seeded order in which a run sees its clips    |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
