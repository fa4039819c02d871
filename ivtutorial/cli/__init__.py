"""The command `ivtutorial`: every function of the library from a shell.

Good input gives results, bad input one line on stderr and exit code 2. With `--json` stdout carries one JSON
object and nothing else; progress goes to stderr. A character that the terminal's encoding lacks is printed as its
number. Modules that take long to import are imported inside the commands, so that `ivtutorial --help` answers at once.
"""

from __future__ import annotations

import errno
import io
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import ivtutorial
from ivtutorial.cli.convert import convert_command
from ivtutorial.cli.data import prepare_command
from ivtutorial.cli.demo import demo
from ivtutorial.cli.evaluation import compare_command, evaluate_command, score_command
from ivtutorial.cli.experiment import experiment_command
from ivtutorial.cli.export import export_command
from ivtutorial.cli.reduced_models import app as zoo_app
from ivtutorial.cli.sampling import generate
from ivtutorial.cli.study import study, study_result_command
from ivtutorial.cli.training import finetune_command
from ivtutorial.errors import InputError

app = typer.Typer(
    name="ivtutorial",
    help="InstructVideo (CVPR 2024): fine-tune text-to-video diffusion models on human feedback, by editing.",
    epilog="Start with `ivtutorial demo`. Each command explains itself: ivtutorial COMMAND --help.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; the entry point `ivtutorial`.

    Args:
        arguments: instead of those of the process.

    Raises:
        SystemExit: always, with 0 (done), 2 (bad input) or 130 (interrupted).
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(args=None if arguments is None else list(arguments), prog_name="ivtutorial")
    except InputError as error:
        print(f"ivtutorial: error: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        # No file of ours: `ivtutorial score clips > scores.txt`, and the disk is full.
        print(f"ivtutorial: error: cannot print the result ({error.strerror or error}).", file=sys.stderr)
        raise SystemExit(2) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ivtutorial {ivtutorial.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command(short_help="the main job: fine-tune, compare before and after")(demo)
app.command(short_help="make clips from prompts")(generate)
app.command("prepare", short_help="check your clips and encode them once")(prepare_command)
app.command("finetune", short_help="fine-tune an adapter on your clips by InstructVideo")(finetune_command)
app.command("export", short_help="write a run's result for other programs")(export_command)
app.command("score", short_help="score video files by the paper's protocol")(score_command)
app.command("evaluate", short_help="make clips and measure them")(evaluate_command)
app.command("compare", short_help="compare two evaluations pair by pair")(compare_command)
app.command(short_help="ask people which clips are better, blind")(study)
app.command("study-result", short_help="count the answers of a study")(study_result_command)
app.command("experiment", short_help="make a figure or table of the paper again")(experiment_command)
app.command("convert", short_help="turn the authors' weights into diffusers' format")(convert_command)
app.add_typer(zoo_app, name="zoo", short_help="the reduced world: draw, train, measure")
