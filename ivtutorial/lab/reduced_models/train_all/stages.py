"""From nothing to the shipped text-to-video model, stage by stage, resumable at any step.

| stage | makes | learns from |
|---|---|---|
| draw | `pool/`, `tokenizer/` | the world itself |
| text | `text_encoder/` | captions |
| features | `features/` | the pool |
| autoencoder | `autoencoder/` (all channels), `vae/` (those kept, whitened) | the pool |
| encode | `latents/` | the pool, encoded |
| image | `image_unet/` | single frames |
| video | `unet/` | clips and single frames |
| decoder | `vae/`, its decoder better | the pool, encoded and brought back by the image model |
| export | `models/reduced/` | - |

`stages.json` lists the finished stages and what each took. A stage gets its share of what its predecessors left
of the budget. On a GPU one process trains, and all cores only draw.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from ivtutorial.lab.reduced_models.text_encoder import make_text_encoder
from ivtutorial.lab.reduced_models.tokenizer import save_tokenizer
from ivtutorial.lab.reduced_models.train_all import ceilings
from ivtutorial.lab.reduced_models.train_all.budget import Schedule
from ivtutorial.lab.reduced_models.train_all.encoded import Encoded, encode_pixels
from ivtutorial.lab.reduced_models.train_all.loop import Group, TrainStep, to_device
from ivtutorial.lab.reduced_models.train_all.parts import (
    autoencoder as ae,
    decoder as dec,
    image_model as im,
    latent_space,
    perceptual,
    text as tx,
    video_model as vm,
)
from ivtutorial.lab.reduced_models.train_all.plan import Plan
from ivtutorial.lab.reduced_models.train_all.pool import WORDINGS, fill_all
from ivtutorial.lab.reduced_models.train_all.resident import AnyPool
from ivtutorial.lab.reduced_models.train_all.states import averaged
from ivtutorial.lab.reduced_models.train_all.work import Work, remove
from ivtutorial.lab.world.judges.features import FeatureNet

TOKENIZER = "tokenizer"  # its folder


def draw_pools(work: Work) -> None:
    """The tokenizer, and this process's share of the pools."""
    clock = (time.monotonic(), time.process_time())
    if work.group.rank == 0:
        ensure_tokenizer(work)
    work.group.wait()
    fill_all(work.files(), work.tokenizer(), work.group.rank, work.group.size)
    work.group.wait()
    work.finish("draw", **used(clock, work.group))


def ensure_tokenizer(work: Work) -> None:
    """The tokenizer, whole or not at all, unless it is there."""
    kept, made = work.folder / TOKENIZER, work.folder / f".{TOKENIZER}.made"
    if not kept.exists():
        remove(made)
        save_tokenizer(tx.learn_tokenizer(seed=work.plan.seed), made)
        made.rename(kept)


def used(clock: tuple[float, float], group: Group) -> dict[str, float]:
    """What a stage took that every process had a like share of."""
    wall, cpu = time.monotonic() - clock[0], time.process_time() - clock[1]
    return {"seconds": round(wall, 1), "core_seconds": round(cpu * group.size, 1)}


def text(work: Work) -> None:
    """The text encoder."""
    tokenizer = work.tokenizer()
    torch.manual_seed(work.plan.seed)
    reader = im.on_device(tx.Reader(make_text_encoder(tokenizer)), work.device)
    record = work.train("text", reader, tx.text_loss(reader, tokenizer), im.adamw(reader, 1e-3), ema=0.998)
    work.save(reader.encoder, "text_encoder")
    work.finish("text", **record)


def features(work: Work) -> None:
    """The network whose features compare pictures."""
    torch.manual_seed(work.plan.seed + 17)
    net = im.on_device(FeatureNet(), work.device)
    loss = perceptual.feature_loss(net, perceptual.Labelled(*work.pools()))
    record = work.train("features", net, loss, im.adamw(net, 2e-3))
    if work.group.rank == 0:
        net.save(work.folder / "features")
    work.finish("features", **record)


def make_noisy_autoencoder(work: Work) -> ae.NoisyAutoencoder:
    """The autoencoder before training."""
    torch.manual_seed(work.plan.seed)
    config = work.plan.autoencoder
    return im.on_device(ae.NoisyAutoencoder(ae.make_autoencoder(config), config), work.device)


def autoencoder(work: Work) -> None:
    """The autoencoder; afterwards the channels that are kept, whitened."""
    model = make_noisy_autoencoder(work)
    fresh, counts = work.fresh(), (model.config.latents, *model.config.nested)
    record = work.train(
        "autoencoder", model, ae.autoencoder_loss(model, ae.PoolPairs(*work.pools()), work.features().features),
        im.adamw(model, work.plan.autoencoder.lr), ceilings.fidelity_check(model.vae, fresh, counts),
    )  # fmt: skip
    work.save(model.vae, "autoencoder")
    vae = kept_and_whitened(model.vae.cpu().eval(), work.plan, work.pools(), work.device)
    numbers = ceilings.reconstructions(vae, fresh)
    ceilings.report("autoencoder", {"renders": ceilings.sharpness(fresh.frames), **numbers})
    work.save(vae, "vae")
    work.finish("autoencoder", **{**record, **numbers})


def kept_and_whitened(
    vae: AutoencoderKL, plan: Plan, pools: tuple[AnyPool, AnyPool], device: torch.device, count: int = 2000
) -> AutoencoderKL:
    """The autoencoder of the plan's channels, whitened on ``count`` frames of each pool; on a device."""
    small = latent_space.keep_channels(vae, plan.channels).eval().to(device)
    rng = np.random.default_rng((plan.seed, 4))
    latents = []
    for pool in pools:
        index, frame = rng.integers(pool.ready, size=count), rng.integers(pool.config.frames, size=count)
        pixels = pool.frames(index, frame)[0].permute(0, 2, 3, 1)[:, None]
        latents.append(encode_pixels(small, pixels, plan.bf16)[:, 0].cpu())
    return im.on_device(latent_space.whiten(small.cpu(), torch.cat(latents), plan.whitening, plan.floor), device)


def encode_pools(work: Work) -> None:
    """Latents, covers and tokens of both pools."""
    clock = (time.monotonic(), time.process_time())
    vae = work.vae()
    for pool in work.files():
        store = Encoded(work.folder / "latents", pool, work.plan.channels)
        store.fill(vae, work.group.rank, work.group.size, work.plan.bf16)
    work.finish("encode", **used(clock, work.group))


def image(work: Work) -> None:
    """Stage 1."""
    torch.manual_seed(work.plan.seed)
    frames, clips = work.encoded()
    texts, config = work.texts(), work.plan.image
    unet = im.new_image_unet(work.plan.channels, texts.encoder.config.hidden_size, config.widths)
    unet = im.on_device(unet, work.device)
    checks = work.checks(work.fresh())

    ceilings.report("before image", {"renders": ceilings.sharpness(checks.fresh.frames), **checks.reconstruction})

    def check() -> dict[str, float]:
        return checks.one_step(unet) | checks.samples(unet)

    loss = im.image_loss(work.fast(unet), texts, frames, clips, config, work.device)
    record = work.train("image", unet, loss, im.adamw(unet, config.lr), check, schedule=Schedule(warmup=200))
    work.save(unet, "image_unet")
    work.finish("image", **record)


def video(work: Work) -> None:
    """Stage 2."""
    torch.manual_seed(work.plan.seed)
    frames, clips = work.encoded()
    config = work.plan.video
    unet = im.on_device(vm.from_image_unet(work.image_unet().cpu()), work.device)
    checks = work.checks(work.fresh())
    ceilings.report("before video", {"renders": ceilings.sharpness(checks.fresh.frames), **checks.reconstruction})

    def check() -> dict[str, float]:
        return checks.samples(unet, min(45, work.plan.checked), 16)

    loss = vm.video_loss(unet, work.texts(), frames, clips, config, work.device, work.fast)
    record = work.train("video", unet, loss, vm.video_optimizers(unet, config), check, schedule=Schedule(warmup=100))
    work.save(unet, "unet")
    work.finish("video", **record)


def decoder(work: Work) -> None:
    """The decoder once more."""
    torch.manual_seed(work.plan.seed)
    texts, unet, config = work.texts(), work.image_unet().eval().requires_grad_(False), work.plan.decoder
    model = im.on_device(dec.DecoderAndCritic(work.vae()), work.device)
    pairs = PooledLatents(work.pools(), work.encoded(), texts)
    fresh = work.fresh()
    before = ceilings.reconstructions(model.vae, fresh)
    ceilings.report("before decoder", before)
    empty = texts(texts.empty.to(work.device))
    loss = dec.decoder_loss(model, unet, empty, pairs.draw, config, work.features().features)
    record = work.train(
        "decoder", model, loss, dec.decoder_optimizers(model, config),
        lambda: ceilings.reconstructions(model.vae, fresh),
    )  # fmt: skip
    ceilings.report("after decoder", record)
    work.save(model.vae, "vae_tuned")
    work.finish("decoder", **record)


class PooledLatents:
    """Batches for the decoder: pictures, masks, latents and captions of the same frames."""

    def __init__(self, pools: tuple[AnyPool, AnyPool], encoded: tuple[Encoded, Encoded], texts: im.Texts) -> None:
        self.pools, self.encoded, self.texts = pools, encoded, texts

    def draw(self, step: TrainStep) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """This process's share: pixels in [-1, 1], masks, latents, caption states."""
        rows = []
        for pool, store in zip(self.pools, self.encoded):
            index = step.own(step.rng.integers(len(pool), size=step.batch // 2))
            frame = step.own(step.rng.integers(pool.config.frames, size=step.batch // 2))
            wording = step.own(step.rng.integers(WORDINGS, size=step.batch // 2))
            rows.append((*pool.frames(index, frame), store.frames(index, frame)[0], store.texts(index, wording)))
        pixels, mask, z, ids = (to_device(torch.cat(column), step.group.device) for column in zip(*rows))
        # Shuffled, so that half of them is a fair half of both pools.
        order = to_device(torch.randperm(len(z), generator=torch.Generator().manual_seed(step.number)), z.device)
        return pixels[order].float() / 127.5 - 1.0, mask[order], z[order], self.texts(ids[order])


def export(work: Work) -> None:
    """The pipeline that is shipped, in half precision, in files of at most 15 MB."""
    from ivtutorial.lab.reduced_models.train_all.shipping import ship

    if work.group.rank == 0:
        ship(work.folder, work.folder / "models" / "reduced", work.finished())
    work.finish("export", seconds=0.0, core_seconds=0.0)


def unfinished_autoencoder(work: Work) -> AutoencoderKL:
    """The autoencoder as its last state has it, averaged; for trials before the stage is finished."""
    model = make_noisy_autoencoder(work)
    averaged(work.folder / "autoencoder.state.pt", model)
    return model.vae.eval().requires_grad_(False)


RUN: dict[str, Callable[[Work], None]] = {
    "draw": draw_pools, "text": text, "features": features, "autoencoder": autoencoder, "encode": encode_pools,
    "image": image, "video": video, "decoder": decoder, "export": export,
}  # fmt: skip
