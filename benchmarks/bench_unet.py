"""Milliseconds per clip of a pass of the UNet: stock blocks and ours, in fp32 and bf16, interleaved in one process.

    python benchmarks/bench_unet.py          # the shipped model, one thread
    python benchmarks/bench_unet.py --model modelscope --device cuda
    python benchmarks/bench_unet.py --show

`forward` is a pass without gradient, as sampling and the first steps of an edit make it; `step` a pass with an adapter
and gradient, and its backward pass, as the last K steps of an edit do. Seconds are those of the processor, on a GPU a
watch's. A round
times every variant once; shown is the median over the rounds, so that whatever else the machine does falls on all
alike. `difference` is the relative distance |a - b| / |b| of the output from that of the stock blocks in fp32.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import UNet3DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0
from measure import Meter, save_table, show_tables
from torch import Tensor

from ivtutorial.models.lora import attach_lora
from ivtutorial.models.memory import DTYPES
from ivtutorial.models.named import open_model
from ivtutorial.models.unet import VideoUNet

RESULT = Path("data/results/bench_unet.json")
COLUMNS = {
    "name": "blocks, precision",
    "work": "work",
    "batch": "clips at once",
    "ms": "ms per clip",
    "relative": "speed-up",
    "difference": "difference",
}
STOCK = "stock, fp32"


def as_stock(unet: VideoUNet) -> VideoUNet:
    """Give every block its stock class back (in place); adapters can still be attached."""
    for module in unet.modules():
        if type(module).__module__ == "ivtutorial.models.fast_blocks":
            module.__class__ = type(module).__mro__[1]
    unet.set_attn_processor(AttnProcessor2_0())
    unet.forward = UNet3DConditionModel.forward.__get__(unet)
    return unet


def inputs(unet: VideoUNet, batch: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Latents of noise, timesteps, and text states of plausible size."""
    g, c = torch.Generator().manual_seed(seed), unet.config
    z = torch.randn(batch, c.in_channels, 16, c.sample_size, c.sample_size, generator=g)
    return z, torch.full((batch,), 500), torch.randn(batch, 24, c.cross_attention_dim, generator=g)


def forward(unet: VideoUNet, z: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
    """One pass without gradient."""
    with torch.no_grad():
        return unet(z.to(unet.dtype), t, encoder_hidden_states=embeds.to(unet.dtype)).sample.float()


def step(unet: VideoUNet, z: Tensor, t: Tensor, embeds: Tensor) -> Tensor:
    """One pass with gradient and its backward pass, under autocast as fine-tuning has it."""
    with torch.autocast(z.device.type, torch.bfloat16, enabled=unet.dtype == torch.bfloat16):
        output = unet(z.to(unet.dtype), t, encoder_hidden_states=embeds.to(unet.dtype)).sample
    output.float().square().mean().backward()
    return output.detach().float()


def variants(model: str, device: str, adapter: bool) -> dict[str, VideoUNet]:
    """The four networks: same weights."""
    networks = {}
    for blocks in ("stock", "ours"):
        for precision in ("fp32", "bf16"):
            unet = open_model(model, DTYPES[precision], device).unet
            networks[f"{blocks}, {precision}"] = as_stock(unet) if blocks == "stock" else unet
            if adapter:
                attach_lora(unet)
    return networks


def measure(work: str, batch: int, options: argparse.Namespace) -> list[dict[str, Any]]:
    """Time every variant once a round, and return a row for each."""
    networks = variants(options.model, options.device, work == "step")
    run: Callable[..., Tensor] = step if work == "step" else forward
    arguments = [tensor.to(options.device) for tensor in inputs(networks[STOCK], batch, options.seed)]
    outputs = {name: run(unet, *arguments) for name, unet in networks.items()}
    meters = {name: Meter(torch.device(options.device)) for name in networks}
    for _ in range(options.rounds):
        for name, unet in networks.items():
            meters[name].time(lambda unet=unet: run(unet, *arguments))
    ms = {name: 1e3 * statistics.median(meter.seconds) / batch for name, meter in meters.items()}
    expected = outputs[STOCK]
    return [
        {
            "name": name,
            "work": work,
            "batch": batch,
            "ms": ms[name],
            "relative": ms[STOCK] / ms[name],
            "difference": float((outputs[name] - expected).norm() / expected.norm()),
            "all_ms": [1e3 * value / batch for value in meters[name].seconds],
        }
        for name in networks
    ]


def main() -> None:
    """Measure forward passes of each batch, then a step, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="reduced")
    parser.add_argument("--batch", type=int, nargs="*", default=[1, 4, 8])
    parser.add_argument("--step-batch", type=int, nargs="*", default=[2, 4])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--show", action="store_true", help="print the table of --out and measure nothing")
    options = parser.parse_args()
    if options.show:
        print(show_tables(options.out, COLUMNS))
        return
    torch.set_num_threads(1)
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "show")}
    rows: list[dict[str, Any]] = []
    for work, batches in (("forward", options.batch), ("step", options.step_batch)):
        for batch in batches:
            rows += measure(work, batch, options)
            save_table(options.out, options.device, {"settings": settings, "rows": rows}, options.seed)
            for row in rows[-4:]:
                print({name: row[name] for name in COLUMNS}, flush=True)


if __name__ == "__main__":
    main()
