"""Those who look at clips, trained on renders, reconstructions and samples of the model: two judges and the reward.

| module    | holds                                                                             |
|-----------|-----------------------------------------------------------------------------------|
| `reading` | what a judge learns from                                                          |
| `pairs`   | pairs of samples that differ in one fact, with what both judges read in them      |
| `taste`   | what the reward learns from: captions, annotators' choices, and pairs of samples  |
| `start`   | begin from the judge and the reward of an earlier training                        |
| `run`     | the stages one after another, resumable                                           |
| `from_nothing` | the text-to-video model first, then these: `ivtutorial zoo train-all`        |
"""

from ivtutorial.system.lazy import offer

__getattr__, __dir__, __all__ = offer(__name__)
