"""The command line: it explains itself, gives the library's results, and says in one line what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest
import typer

from ivtutorial import cli
from ivtutorial.cli import support as cli_support
from ivtutorial.cli.training import length_line, merge_settings
from ivtutorial.errors import InputError
from ivtutorial.lab.world.clip_set import draw_clip, plan_clips
from ivtutorial.video.writer import write_video
from tests.tiny_models import make_models
from tests.tolerances import assert_close

if TYPE_CHECKING:
    from ivtutorial.models.backbone import Backbone

ROOT = Path(__file__).resolve().parents[2]
Run = Callable[..., tuple[int, str, str]]
QUICK = ["--ddim-steps", "2", "--frames", "4", "--processes", "1"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """`run("score", ...)` gives exit code, stdout and stderr."""

    def start(*arguments: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else int(code is not None)), out, err

    return start


@pytest.fixture(scope="module")
def models(tiny_backbone: Backbone, tiny_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("models"), tiny_backbone, tiny_tokenizer)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips and their CSV."""
    folder = tmp_path_factory.mktemp("clips")
    for k, plan in enumerate(plan_clips(2, species=["fox"])):
        write_video(folder / f"{k}.mp4", draw_clip(plan))
    (folder / "captions.csv").write_text("video,caption\n0.mp4,a red fox\n1.mp4,a grey fox\n")
    return folder


def commands() -> list[tuple[str, click.Command]]:
    def walk(name: str, command: Any) -> list[tuple[str, Any]]:
        inner = getattr(command, "commands", {})
        return [pair for key, one in inner.items() for pair in walk(f"{name} {key}".strip(), one)] or [(name, command)]

    return walk("", typer.main.get_command(cli.app))


# --- help -----------------------------------------------------------------------------------------


def test_every_command_and_every_option_is_explained() -> None:
    result = commands()
    assert {"demo", "generate", "finetune", "score", "evaluate", "compare", "zoo measure"} <= {
        name for name, _ in result
    }
    for name, command in result:
        assert command.help and command.short_help, name
        for parameter in command.params:
            assert getattr(parameter, "help", None), f"{name} {parameter.name}"


def test_examples_in_the_help_are_commands_that_exist() -> None:
    """Every line `ivtutorial NAME --option ...` of every help text names a command and options of it."""
    known = dict(commands())
    lines = [
        line.split() for _, c in known.items() for line in (c.help or "").splitlines() if line.strip().startswith("ivt")
    ]
    assert len(lines) >= 10
    for words in lines:
        name = " ".join(words[1:3]) if words[1] == "zoo" else words[1]
        options = {option for parameter in known[name].params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= options, words


def test_help_is_quick_because_it_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom ivtutorial.cli import main\ntry:\n    main(['--help'])\n"
        "finally:\n    print({'torch', 'diffusers', 'numpy', 'av'} & set(sys.modules), file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and "generate" in done.stdout
    assert done.stderr.strip() == "set()"


def test_the_help_of_finetune_names_every_method_and_tracker() -> None:
    from ivtutorial.training.methods import METHODS
    from ivtutorial.training.trackers import TRACKERS

    helps = {parameter.name: getattr(parameter, "help", "") for parameter in dict(commands())["finetune"].params}
    assert all(name.lower() in helps["method"] for name in METHODS)
    assert all(name in helps["trackers"] for name in TRACKERS)


def test_finetune_says_how_long_the_papers_run_is() -> None:
    paper, slow, short = (merge_settings(None, {}, {}, given, False) for given in ([], ["lr=1e-3"], ["steps=24"]))
    assert "20000 steps at learning rate 1e-05" in str(length_line(paper, "reduced"))
    assert "20000 steps at learning rate 0.001" in str(length_line(slow, "modelscope"))
    assert "small model" in str(length_line(paper, "reduced")) and "small" not in str(length_line(paper, "modelscope"))
    assert length_line(short, "reduced") is None


def test_version(run: Run) -> None:
    import ivtutorial

    assert run("--version") == (0, f"ivtutorial {ivtutorial.__version__}\n", "")


# --- results --------------------------------------------------------------------------------------


def test_generate_writes_the_clips_of_the_library(run: Run, models: Path, tmp_path: Path) -> None:
    code, out, _ = run(
        "generate", "a red fox", "the deer", "--model", models / "reduced", "--out", tmp_path, "--seed", 3, "--seed", 5,
        *QUICK, "--json",
    )  # fmt: skip
    rows = json.loads(out)["clips"]
    assert code == 0
    assert [(row["prompt"], row["seed"]) for row in rows] == [
        ("a red fox", 3), ("a red fox", 5), ("the deer", 3), ("the deer", 5),
    ]  # fmt: skip
    assert all(Path(row["file"]).stat().st_size > 0 for row in rows) and (tmp_path / "sheet.png").is_file()
    again = ["--model", models / "reduced", "--out", tmp_path, *QUICK]
    code, _, err = run("generate", "another prompt", "--seed", 3, *again)
    assert code == 2 and "captions" in err and "--overwrite" in err
    assert run("generate", "another prompt", "--seed", 3, *again, "--overwrite")[0] == 0


def test_score_agrees_with_the_library(run: Run, models: Path, clips: Path) -> None:
    from ivtutorial.data.clips import load_frames, read_clips
    from ivtutorial.evaluation.scoring import score

    code, out, _ = run("score", clips, "--reward", models / "reward", "--json")
    result = json.loads(out)
    expected = score(load_frames(read_clips(clips)), ["a red fox", "a grey fox"], models / "reward")
    assert code == 0
    assert_close([row["reward"] for row in result["clips"]], expected.rewards.tolist(), n=4096, size=1.0)
    assert_close(result["reward"]["mean"], expected.total.mean, n=4096, size=1.0)


def test_finetune_resume_evaluate_compare(run: Run, models: Path, clips: Path, tmp_path: Path) -> None:
    """The way through: an adapter, continued, then measured against the base model on the same prompts."""
    model = ["--model", models / "reduced", "--reward", models / "reward", "--processes", 1]
    elsewhere = shutil.copy(clips / "captions.csv", tmp_path)
    tune = ["finetune", elsewhere, "--root", clips, *model, "--out", tmp_path / "run", "--json"]
    short = ["-D", 2, "--batch-size", 1, "--lr", 0.01, "--set", "frames=4"]
    code, out, err = run(*tune, "--steps", 1, *short, "--resume")
    assert code == 0 and json.loads(out)["steps"] == 1 and "there is no run in" in err, "one begins, and that is said"
    code, _, err = run(*tune, "--steps", 2)
    assert code == 2 and "resume" in err, "a finished run is not overwritten"
    code, out, err = run(*tune, "--steps", 2, "--resume")
    assert "there is no run in" not in err
    lora = json.loads(out)["lora"]
    assert code == 0 and json.loads(out)["steps"] == 2, "the other settings were those of the run"
    for name, options in (("before", []), ("after", ["--lora", lora])):
        code, out, _ = run(
            "evaluate", "a red fox", "snow", *model, *QUICK[:4], "--out", tmp_path / name, *options, "--json"
        )
        assert code == 0 and json.loads(out)["summary"]["reward"]["n"] == 2
    code, out, _ = run("compare", tmp_path / "before", tmp_path / "after", "--json")
    columns = json.loads(out)["columns"]
    assert code == 0 and columns["reward"]["n"] == 2 and columns["reward"]["mean"] != 0
    shorter = ["-D", 1, "--frames", 4, "--out", tmp_path / "shorter"]
    assert run("evaluate", "a red fox", "snow", *model, *shorter)[0] == 0
    code, _, err = run("compare", tmp_path / "before", tmp_path / "shorter")
    assert code == 2 and "differ in D (2 before, 1 after)" in err and "--differing D" in err
    assert run("compare", tmp_path / "before", tmp_path / "shorter", "--differing", "D")[0] == 0
    code, out, _ = run("compare", tmp_path / "before", tmp_path / "after")
    assert code == 0 and out.splitlines()[1].startswith("reward")
    code, out, _ = run("export", tmp_path / "run", "--merged", tmp_path / "merged", "--adapter", tmp_path / "alone")
    assert code == 0 and out.splitlines()[1] == f"merged: {tmp_path / 'merged'}"
    assert (tmp_path / "merged" / "model_index.json").is_file() and len(list((tmp_path / "alone").iterdir())) == 1
    assert run("export", tmp_path / "run")[0] == 2, "nothing to write"
    code, _, err = run("export", tmp_path / "run", "--adapter", tmp_path / "half", "--lora-scale", 0.5)
    assert code == 2 and "--lora-scale 0.5 applies to --merged only" in err and not (tmp_path / "half").exists()


def test_sheet_and_pairs_of_the_zoo(run: Run, tmp_path: Path) -> None:
    from PIL import Image

    code, _, _ = run("zoo", "sheet", "fox", "--out", tmp_path / "fox.png", "--strip", 2, "--scale", 1, "--columns", 1)
    assert code == 0 and Image.open(tmp_path / "fox.png").width >= 128
    code, _, _ = run("zoo", "pairs", "--out", tmp_path, "--count", 3)
    rows = json.loads((tmp_path / "pairs.json").read_text())
    assert code == 0 and len(rows) == 3
    assert all((row["probability_of_first"] > 0.5) == (row["utilities"][0] > row["utilities"][1]) for row in rows)


# --- settings -------------------------------------------------------------------------------------


def test_options_win_over_the_file_and_set_over_both(tmp_path: Path) -> None:
    from ivtutorial.method.instructvideo import InstructVideo
    from ivtutorial.training.config import FinetuneConfig

    path = tmp_path / "settings.json"
    path.write_text(json.dumps(FinetuneConfig(InstructVideo(tau=0.3), steps=5, lr=1e-4, seed=9).to_dict()))
    merged = merge_settings(path, {"steps": 7, "lr": None}, {"tau": 0.5}, ["lr=1e-2", "method.normalise=true"], True)
    assert (merged.steps, merged.lr, merged.seed) == (7, 1e-2, 9)
    assert (merged.method.tau, merged.method.normalise) == (0.5, True)
    assert (merged.method.offset_noise, merged.method.train_mode) == (0.1, True), "--official"


@pytest.mark.parametrize(
    ("cores", "environment", "expected"), [(1, {}, 1), (2, {}, 2), (16, {}, 2), (16, {"WORLD_SIZE": "4"}, 1)]
)
def test_two_processes_where_there_are_two_cores(
    cores: int, environment: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ivtutorial.system import provenance

    monkeypatch.setattr(provenance, "cores", lambda: cores)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cli_support.default_processes(None) == expected
    assert cli_support.default_processes(3) == 3


# --- what goes wrong ------------------------------------------------------------------------------

BAD: list[tuple[str, list[str], str]] = [
    ("no prompt", ["generate"], "give prompts"),
    ("two sources of prompts", ["generate", "a fox", "--prompts", "demo"], "give prompts"),
    ("an empty list", ["generate", "--prompts", "{empty}"], "no prompt in it"),
    ("an unknown list", ["generate", "--prompts", "nothing"], "no such file, and the shipped lists are demo, in_"),
    ("a number for a prompt", ["generate", "nan"], "nan"),
    ("no such model", ["generate", "a fox", "--model", "{folder}/none", "--processes", "1"], "none"),
    ("a device that is not there", ["generate", "a fox", "--device", "tpu"], "tpu"),
    ("no frames a second", ["generate", "a fox", "--model", "{models}/reduced", "--fps", "0"], "fps=0"),
    ("no DDIM steps", ["generate", "a fox", "--model", "{models}/reduced", "-D", "0", "--processes", "1"], "0"),
    ("tau of 0", ["finetune", "{clips}", "--tau", "0"], "tau = 0"),
    ("tau above 1", ["finetune", "{clips}", "--tau", "1.5"], "tau = 1.5"),
    ("tau * D rounds to 0", ["finetune", "{clips}", "--tau", "0.1", "-D", "2"], "tau"),
    ("K above the steps", ["finetune", "{clips}", "-K", "13"], "13"),
    ("S that does not divide F", ["finetune", "{clips}", "-S", "5"], "S = 5"),
    ("an unknown setting", ["finetune", "{clips}", "--set", "stepz=3"], "did you mean 'steps'"),
    ("an unknown tracker", ["finetune", "{clips}", "--trackers", "wandb,visdom"], "'visdom'"),
    ("an assignment without a value", ["finetune", "{clips}", "--set", "steps"], "NAME=VALUE"),
    ("no such clips", ["score", "{folder}/none.csv"], "none.csv"),
    ("a missing column", ["score", "{column}"], "video,caption"),
    ("a broken video", ["score", "{broken}"], "0.mp4"),
    ("no evaluation", ["compare", "{folder}", "{folder}"], "evaluation"),
    ("an unknown subject", ["zoo", "sheet", "unicorn", "--out", "{folder}/s.png"], "unicorn"),
    ("cards without measurements", ["zoo", "cards", "--results", "{folder}/none.json"], "zoo measure"),
]


@pytest.mark.parametrize(("arguments", "expected"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_bad_input_gives_one_line_and_exit_code_2(
    arguments: list[str],
    expected: str,
    run: Run,
    models: Path,
    clips: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n# nothing\n")
    (tmp_path / "column.csv").write_text("file,caption\n0.mp4,a fox\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "0.mp4").write_bytes((clips / "0.mp4").read_bytes()[:600])
    (tmp_path / "broken" / "captions.csv").write_text("video,caption\n0.mp4,a fox\n")
    paths = {"folder": tmp_path, "models": models, "clips": clips, "empty": tmp_path / "empty.txt"}
    paths |= {"column": tmp_path / "column.csv", "broken": tmp_path / "broken"}
    code, out, err = run(*(word.format(**paths) for word in arguments))
    assert code == 2 and out == "" and "Traceback" not in err
    message = [line for line in err.splitlines() if line.startswith("ivtutorial: error: ")]
    assert len(message) == 1 and expected in err[err.index(message[0]) :]
    assert not (tmp_path / "runs").exists(), "nothing is left behind"


FROM_NOTHING = "ivtutorial.lab.reduced_models.viewers.from_nothing"


@pytest.mark.parametrize(
    ("arguments", "function", "hint"),
    [
        (["finetune", "{clips}", "--out", "o"], "ivtutorial.training.finetuning.finetune", "--resume"),
        (["generate", "a fox", "--out", "o"], "ivtutorial.sampling.clip_files.generate_files", "same command"),
        (["evaluate", "a fox", "--out", "o"], "ivtutorial.evaluation.evaluation.evaluate", "same command goes on"),
        (["demo", "--out", "o"], "ivtutorial.lab.demo.run.run_demo", "go on"),
        (["zoo", "train-all", "--budget", "1h", "--out", "o"], f"{FROM_NOTHING}.train_from_nothing", "same command"),
    ],
)
def test_ctrl_c_ends_with_130_and_says_how_to_go_on(
    arguments: list[str], function: str, hint: str, run: Run, clips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(function, interrupted)
    code, out, err = run(*(word.format(clips=clips) for word in arguments))
    assert code == 130 and out == ""
    assert "interrupted" in err and hint in err and "Traceback" not in err


def test_a_read_only_folder_is_named(run: Run, tmp_path: Path) -> None:
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        (tmp_path / "file").write_text("")  # root writes anywhere, but not below a file
        target = tmp_path / "file" / "out.png"
    else:
        tmp_path.chmod(0o500)
        target = tmp_path / "out.png"
    code, _, err = run("zoo", "sheet", "fox", "--out", target)
    assert code == 2 and str(target) in err


def test_a_result_can_be_given_as_settings() -> None:
    with pytest.raises(InputError, match=r"no-such\.json"):
        merge_settings(Path("no-such.json"), {}, {}, [], False)
