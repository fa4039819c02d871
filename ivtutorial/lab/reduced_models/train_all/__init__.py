"""From nothing to the weights of the small text-to-video world: `ivtutorial zoo train-all`.

| module     | holds                                                   |
|------------|---------------------------------------------------------|
| `run`      | the command: one process or several, CPU or GPU         |
| `stages`   | one function for each stage                             |
| `plan`     | what is trained, and how much of each                   |
| `work`     | the folder of a training, and its time                  |
| `drawing`  | processes that draw while another trains                |
| `loop`     | one training loop for all stages, resumable at any step |
| `states`   | the state of a stage, on the disk                       |
| `budget`   | how long a stage trains, and its learning rate          |
| `pool`     | the pictures that all stages learn from                 |
| `resident` | the pool in a GPU's memory                              |
| `encoded`  | the pool as latents                                     |
| `ceilings` | renders, reconstructions and samples, measured alike    |
| `parcel`   | what goes from one machine to another                   |
| `shipping` | the trained parts as a pipeline folder                  |
| `parts`    | the networks, their losses and settings                 |
"""
