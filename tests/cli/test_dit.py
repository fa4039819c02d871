"""The whole command line on tiny folders of every family: true classes, random weights, nothing downloaded."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from ivtutorial import cli
from ivtutorial.lab.world.clip_set import draw_clip, plan_clips
from ivtutorial.models.lora import LORA_FILE
from ivtutorial.video.writer import write_video
from tests.models.dit.tiny import tiny_cogvideox_folder, tiny_ltx_folder, tiny_wan_folder
from tests.tolerances import assert_close, roundings

ROOT = Path(__file__).resolve().parents[2]
SIZE = ("--height", "32", "--width", "32", "--frames", "9")
REWARD = ("--reward", "tests.models.dit.tiny:redness")
RUN = (
    *("--steps", "3", "--ddim-steps", "5", "-S", "2", "--lr", "0.01", "--batch-size", "1", "--processes", "1", *REWARD),
    *("--set", "frames=9", "--set", "height=32", "--set", "width=32", "--set", "checkpoint_every=1"),
)
Start = Callable[..., tuple[int, str]]

# A program without this package: for every line, one job, it writes what the network of a stock pipeline returns,
# untouched, with the adapter, and merged. One process serves all families, since importing diffusers takes the longest.
STOCK = """
import json, sys
import diffusers, torch


def velocity(pipe, job):
    z = torch.randn(job["latents"], generator=torch.Generator().manual_seed(0))
    embeds = torch.randn(job["embeds"], generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return eval(job["call"])


for line in sys.stdin:
    job = json.loads(line)
    kind = getattr(diffusers, job["pipeline"])
    base = kind.from_pretrained(job["folder"])
    untouched = velocity(base, job)
    base.load_lora_weights(job["lora"])
    torch.save([untouched, velocity(base, job), velocity(kind.from_pretrained(job["merged"]), job)], job["out"])
    print("ivtutorial" in sys.modules, flush=True)
"""


@dataclass(frozen=True)
class Family:
    """How a family's folder is written, and what its run and its stock pipeline look like.

    Attributes:
        prompts: shapes of the embeddings that are kept, of two captions and the empty one.
        tau, guidance: of a run that says nothing, with five steps.
        latents, embeds: shapes that the network takes. call: of the stock pipeline's network.
    """

    write: Callable[[Path], Path]
    prompts: list[tuple[int, int]]
    tau: float
    guidance: float
    pipeline: str
    latents: tuple[int, ...]
    embeds: tuple[int, ...]
    call: str

    def stock(self, **paths: Path) -> str:
        """A job for `STOCK`, with the paths folder, lora, merged and out."""
        names = {name: getattr(self, name) for name in ("pipeline", "latents", "embeds", "call")}
        return json.dumps(names | {name: str(path) for name, path in paths.items()})


FAMILIES = {
    "wan": Family(
        tiny_wan_folder, [(1, 32), (4, 32), (4, 32)], 0.2, 5.0, "WanPipeline", (1, 16, 3, 2, 2), (1, 512, 32),
        "pipe.transformer(z, torch.tensor([500.0]), embeds).sample",
    ),
    "cogvideox": Family(
        tiny_cogvideox_folder, [(226, 32)] * 3, 0.2, 6.0, "CogVideoXPipeline", (1, 4, 3, 2, 2), (1, 226, 32),
        "pipe.transformer(z.transpose(1, 2), embeds, torch.tensor([500])).sample.transpose(1, 2)",
    ),
    "ltx": Family(
        tiny_ltx_folder, [(1, 32), (4, 32), (4, 32)], 0.4, 3.0, "LTXPipeline", (1, 8, 3, 2, 2), (1, 128, 32),
        "pipe.transformer(z.flatten(2).transpose(1, 2), embeds, torch.tensor([500.0]), torch.ones(1, 128), 3, 2, 2, "
        "(8 / 25, 32, 32)).sample.transpose(1, 2).unflatten(2, (3, 2, 2))",
    ),
}  # fmt: skip


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Start:
    """`run("score", ...)` gives exit code and stderr."""

    def start(*arguments: object) -> tuple[int, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        return int(ended.value.code or 0), capsys.readouterr().err

    return start


@pytest.fixture(scope="module", params=list(FAMILIES))
def family(request: pytest.FixtureRequest) -> Family:
    return FAMILIES[request.param]


@pytest.fixture(scope="module")
def folder(family: Family, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return family.write(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("clips")
    for k, plan in enumerate(plan_clips(2, species=["fox"])):
        frames = draw_clip(plan)
        write_video(place / f"{k}.mp4", [*frames, *frames], 16)  # 2 s: nine frames at 8 a second, too
    (place / "captions.csv").write_text("video,caption\n0.mp4,a red fox\n1.mp4,a fox running\n")
    return place


@pytest.fixture(scope="module")
def prepared(folder: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("prepared")
    with pytest.raises(SystemExit) as ended:
        cli.main(["prepare", str(clips), "--model", str(folder), "--out", str(out), *SIZE, "--processes", "1"])
    assert not ended.value.code
    return out


@pytest.fixture(scope="module")
def tuned(folder: Path, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was not disturbed."""
    out = tmp_path_factory.mktemp("run") / "whole"
    with pytest.raises(SystemExit) as ended:
        cli.main(["finetune", str(prepared), "--model", str(folder), "--out", str(out), *RUN])
    assert not ended.value.code
    return out


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """The process of `STOCK`; what it complains about is in the file stderr of its folder."""
    folder = tmp_path_factory.mktemp("stock")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with (folder / "stderr").open("w") as stderr:
        process = subprocess.Popen([sys.executable, "-c", STOCK], env=environment, cwd=folder, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr)  # fmt: skip
        with process:
            yield process
        print((folder / "stderr").read_text())


def test_prompts_are_kept_without_padding_where_it_is_not_read(family: Family, prepared: Path) -> None:
    """Two captions of three words and the empty one, each with its end: (4, 32) and (1, 32), not (512, 32); those of
    CogVideoX whole."""
    [texts] = (prepared / "latents").glob("text-*")
    shapes = sorted(tuple(load_file(path)["embedding"].shape) for path in texts.glob("*.safetensors"))
    assert shapes == family.prompts


def test_the_config_names_the_tau_that_noises_as_the_paper_does(family: Family, tuned: Path) -> None:
    """Three of its five steps start at t = 401, s = 0.54; Wan's s is 1, .92, .82, .67, .43, CogVideoX's 1, .93, .82,
    .68, .51: one step; LTX's 1, .87, .70, .46, .10: two. Guidance is that of the stock pipeline."""
    settings = json.loads((tuned / "config.json").read_text())["finetune"]
    assert (settings["method"]["tau"], settings["method"]["guidance"]) == (family.tau, family.guidance)
    assert settings["frames"] == 9


def test_a_run_that_was_killed_goes_on_bit_for_bit(folder: Path, prepared: Path, tuned: Path, tmp_path: Path) -> None:
    """kill -9 as soon as there is a checkpoint; then --resume, without any text encoder."""
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "ivtutorial.cli", "finetune", prepared, "--model", folder, "--out", out, *RUN]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(list(map(str, command)), env=environment, cwd=ROOT, stderr=subprocess.DEVNULL)
    while process.poll() is None and not (out / "checkpoints" / "latest").is_file():
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(SystemExit) as ended:
        cli.main(["finetune", str(prepared), "--model", str(folder), "--out", str(out), *RUN, "--resume"])
    assert not ended.value.code
    first, second = (load_file(place / "lora" / LORA_FILE) for place in (tuned, out))
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_stock_diffusers_loads_the_adapter_and_the_merged_model(
    family: Family, folder: Path, tuned: Path, stock: subprocess.Popen[str], tmp_path: Path
) -> None:
    """In a process without this package: the same velocity as ours, and another than the base model's."""
    from ivtutorial.models import load_lora, open_model
    from ivtutorial.training import export_merged

    merged = export_merged(folder, tuned / "lora", tmp_path / "merged", device="cpu")
    job = family.stock(folder=folder, lora=tuned / "lora", merged=merged, out=tmp_path / "velocities.pt")
    assert stock.stdin is not None and stock.stdout is not None
    stock.stdin.write(job + "\n")
    stock.stdin.flush()
    assert stock.stdout.readline() == "False\n", "it ended with an error, or imported this package"
    untouched, adapted, exported = torch.load(tmp_path / "velocities.pt", weights_only=True)
    backbone = open_model(folder)
    load_lora(backbone.unet, tuned / "lora")
    z = torch.randn(family.latents, generator=torch.Generator().manual_seed(0))
    embeds = torch.randn(family.embeds, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        ours = backbone.predictor(embeds)(z, 500.0)
    n = roundings(backbone.unet)
    assert_close(adapted, ours, n)
    assert_close(exported, ours, n)
    assert (untouched - ours).abs().max() > 100 * (adapted - ours).abs().max()


def test_generate_evaluate_and_compare(run: Start, folder: Path, tuned: Path, tmp_path: Path) -> None:
    quick = ("--model", folder, "--ddim-steps", "2", "--processes", "1", *SIZE)
    prompts = ("a red fox", "a bear by the river")
    assert run("generate", *prompts, *quick, "--lora", tuned / "lora", "--out", tmp_path / "clips")[0] == 0
    assert len(list((tmp_path / "clips").glob("*.mp4"))) == 2
    for name, adapter in (("before", ()), ("after", ("--lora", tuned / "lora"))):
        code, err = run("evaluate", *prompts, *quick, *adapter, *REWARD, "--out", tmp_path / name)
        assert code == 0, err
    assert run("compare", tmp_path / "before", tmp_path / "after")[0] == 0
    rewards = [json.loads((tmp_path / name / "evaluation.json").read_text()) for name in ("before", "after")]
    assert rewards[0] != rewards[1]


WRONG: list[tuple[str, list[Any], str]] = [
    ("16 frames", ["finetune", "{clips}", "--set", "frames=16", "-S", "4"], "use 13 or 17"),
    ("sides", ["generate", "a fox", "--frames", "9", "--height", "24", "--width", "16"], "multiples of 16"),
    ("steps in words", ["finetune", "{clips}", "--set", "method.D=abc"], "D = 'abc'"),
    (
        "a decoder that is not there",
        ["finetune", "{clips}", *REWARD, "--set", "decoder=3"],
        "decoder = 3: expected the path of a file",
    ),
    ("an adapter of ModelScope", ["generate", "a fox", *SIZE, "--lora", "{unet_lora}"], "does not fit"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), WRONG, ids=[row[0] for row in WRONG])
def test_what_does_not_fit_is_one_clear_error(
    run: Start, clips: Path, tiny_tokenizer: Any, tmp_path: Path, name: str, arguments: Any, message: str
) -> None:
    from ivtutorial.models import attach_lora, save_lora
    from tests.toy import toy_backbone

    places = {"clips": clips, "unet_lora": tmp_path / "lora"}
    if "{unet_lora}" in arguments:
        backbone = toy_backbone(tiny_tokenizer)
        attach_lora(backbone.unet)
        save_lora(backbone.unet, places["unet_lora"])
    model = tiny_wan_folder(tmp_path / "wan")
    full = [text.format(**places) for text in arguments] + ["--model", model, "--out", tmp_path / "out"]
    code, err = run(*full, "--processes", "1")
    assert code == 2 and message in " ".join(err.split()), err
    assert name == "16 frames" or "encoding clips" not in err, "before anything is encoded"
