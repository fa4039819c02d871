"""From nothing to the weights of the small text-to-video world: `ivtutorial zoo train-all`.

| module     | holds                                                   |
|------------|---------------------------------------------------------|
| `run`      | the command: one process or several, CPU or GPU         |
| `stages`   | one function for each stage                             |
| `work`     | the plan and the folder of a training                   |
| `loop`     | one training loop for all stages, resumable at any step |
| `budget`   | how long a stage trains, and its learning rate          |
| `pool`     | the pictures that all stages learn from                 |
| `encoded`  | the pool as latents                                     |
| `ceilings` | renders, reconstructions and samples, measured alike    |
| `shipping` | the trained parts as a pipeline folder                  |
| `parts`    | the networks, their losses and settings                 |
"""
