"""How an image model becomes a video model, as ModelScopeT2V came about, and what both learn to predict.

A stock ``UNet2DConditionModel`` learns what is shown from many cheap images. :func:`inflate` copies it into a stock
``UNet3DConditionModel``, whose temporal layers start as identity; only how things move needs clips.

The model predicts v = sqrt(abar) eps - sqrt(1 - abar) z (Salimans and Ho 2022), not eps: near pure noise a small error
in eps becomes an error in z up to 15 times larger (1/sqrt(abar_T) = 14.6), and guidance multiplies it again. A large
model learns to be that exact, a small one does not. The method itself reads the prediction type from the scheduler and
works with either.
"""

from __future__ import annotations

from diffusers import DDIMScheduler, UNet2DConditionModel, UNet3DConditionModel
from torch import Tensor, nn

from ivtutorial.method.noise import corrupt, level, target

# Parts of the names of the layers that only a video model has.
TEMPORAL = ("temp_convs", "temp_attentions", "transformer_in")


def inflate(image: UNet2DConditionModel, video: UNet3DConditionModel) -> UNet3DConditionModel:
    """Copy an image model into a video model and make the layers that see time start as identity.

    Raises:
        ValueError: a layer that both have differs, or one of the image model has no place.
    """
    image_state, spatial = image.state_dict(), spatial_state(video)
    alone = image_state.keys() ^ spatial.keys()
    strange = [k for k in {**image_state, **spatial} if k in alone or image_state[k].shape != spatial[k].shape]
    if strange:
        raise ValueError(f"the image and the video model do not correspond at {strange[:5]}")
    video.load_state_dict(image_state, strict=False)
    for name, module in video.named_modules():
        # Temporal convolutions end in zeros already; the temporal transformers add proj_out(...) to their input.
        if name.endswith("proj_out") and is_temporal(name):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    return video


def spatial_state(video: UNet3DConditionModel) -> dict[str, Tensor]:
    """The weights of a video model that an image model has too, under the same names."""
    return {k: v for k, v in video.state_dict().items() if not is_temporal(k)}


def is_temporal(name: str) -> bool:
    """Whether a layer or weight of this name is one that only a video model has."""
    return any(t in name for t in TEMPORAL)


def v_pair(scheduler: DDIMScheduler, latents: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Noisy latents and the velocity to predict from them, each shaped like the latents.

    Args:
        scheduler: holds the cumulative alphas.
        latents: of clips (B, C, F, h, w) or of single frames (B, C, h, w), which are clips of one frame.
        noise: epsilon, shaped like the latents.
        t: timesteps, int64 (B,).
    """
    z, epsilon = (x if x.ndim == 5 else x[:, :, None] for x in (latents, noise))
    noisy, v = corrupt(z, t, scheduler, epsilon), target(z, epsilon, level(scheduler, t, like=z), "v_prediction")
    return noisy.view_as(latents), v.view_as(latents)
