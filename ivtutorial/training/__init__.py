"""Fine-tuning: from a model, clips and a reward to an adapter.

| module        | holds                                                     |
|---------------|-----------------------------------------------------------|
| `finetuning`  | `finetune`, the whole run                                 |
| `config`      | its settings                                              |
| `presets`     | settings by the GPU, and by the model                     |
| `methods`     | every method behind one call                              |
| `guards`      | losses against over-optimisation                          |
| `fit`         | precision and recomputation, for the time of a run        |
| `start`       | models, data, adapter and optimiser before the first step |
| `step`        | one optimiser step                                        |
| `loop`        | step, samples, log, checkpoint                            |
| `samples`     | the same prompts sampled along the run                    |
| `checkpoints` | the state of a run, written whole and found again         |
| `run_folder`  | what a run writes beside its adapter                      |
| `trackers`    | curves and clips in TensorBoard, W&B and others           |
| `sharding`    | a frozen UNet spread over several GPUs                    |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
