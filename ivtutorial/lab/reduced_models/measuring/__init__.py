"""Are the models of the small world good enough? What is measured, and the cards that say it.

| module   | holds                                                                                |
|----------|--------------------------------------------------------------------------------------|
| `models` | everything about them: judges, autoencoder, samples, faults, reward                  |
| `reward` | whether the reward prefers what people would, on renders and on the model's samples  |
| `cards`  | their README files, with the bars                                                    |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
