"""How the shipped models were trained: the defaults of `ivtutorial zoo train-...`.

`batch` is samples a step and process; the shipped models were trained in two processes on two CPU cores.
"""

from __future__ import annotations

from ivtutorial.zoo.training import TrainConfig

STORE_CLIPS = 12_000  # clips of web quality, encoded once, that the image and the video model learn from
RECIPE = {
    "text": TrainConfig(steps=700, batch=192, lr=1e-3),
    "vae": TrainConfig(steps=6000, batch=5, lr=2e-3, warmup=100),
    "judge": TrainConfig(steps=3000, batch=16, lr=1e-3),
    "reward": TrainConfig(steps=3000, batch=64, lr=1e-3),
    "image": TrainConfig(steps=12_000, batch=32, lr=1e-3, warmup=200),
    "video": TrainConfig(steps=8000, batch=2, lr=5e-4, warmup=200),
}
