"""The fine-tuning methods: each turns a :class:`~ivtutorial.methods.batch.Batch` into a loss to minimise.

| module          | what it learns from                                      | gradient through the reward |
|-----------------|----------------------------------------------------------|-----------------------------|
| `instructvideo` | edits of training clips, tau * D steps, the last K       | yes                         |
| `draft`         | samples from noise, D steps, the last K                  | yes                         |
| `rwr`           | denoising its own samples, weighted by their reward      | no                          |
| `ddpo`          | policy gradient over its own chains                      | no                          |
| `supervised`    | denoising the training clips                             | no reward                   |

`losses.step_losses` puts all of them behind one call, `guards` holds the terms that keep a model from drifting away.
"""

from __future__ import annotations

from ivtutorial.methods.batch import Batch
from ivtutorial.methods.ddpo import DDPO
from ivtutorial.methods.draft import Draft
from ivtutorial.methods.instructvideo import InstructVideo
from ivtutorial.methods.rwr import RWR
from ivtutorial.methods.supervised import Supervised

__all__ = ["DDPO", "RWR", "Batch", "Draft", "InstructVideo", "Supervised"]
