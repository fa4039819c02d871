"""The recipe for the reduced models: the defaults of `ivtutorial zoo train`.

`batch` is samples a step and process. What each shipped model really got, which may be less, is in its card and
`training.json`.
"""

from __future__ import annotations

from ivtutorial.lab.reduced_models.loop import TrainConfig

STORE_CLIPS = 6000  # clips of web quality, encoded once, that the image and the video model learn from
RECIPE = {
    "text": TrainConfig(steps=500, batch=96, lr=1e-3),
    "vae": TrainConfig(steps=12000, batch=5, lr=2e-3, warmup=100),
    "judge": TrainConfig(steps=700, batch=16, lr=2e-3),
    "reward": TrainConfig(steps=4000, batch=80, lr=1.2e-3),
    "image": TrainConfig(steps=8000, batch=48, lr=1e-3, warmup=100),
    "video": TrainConfig(steps=2000, batch=4, lr=6e-4, ema=0.995),
}
