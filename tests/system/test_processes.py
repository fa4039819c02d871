"""N processes on one machine: ranks, gloo group, results, errors, and the end of a process whose starter has gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from ivtutorial.errors import InputError
from ivtutorial.system.processes import launch


def report(value: float) -> tuple[int, float, int, str]:
    """Rank, sum over the ranks of value * (rank + 1), threads, and the size of the group."""
    rank = torch.distributed.get_rank()
    total = torch.tensor(value * (rank + 1))
    torch.distributed.all_reduce(total)
    return rank, total.item(), torch.get_num_threads(), os.environ["OMP_NUM_THREADS"]


def stumble(kind: str) -> None:
    """Rank 1 fails in some way while rank 0 waits for it in a collective call."""
    if torch.distributed.get_rank() == 1:
        if kind == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise InputError("tau = 7: expected ...") if kind == "input" else KeyError("frames")
    torch.distributed.barrier()


def wait_for_ever(marker: str) -> None:
    """Leaves its process number, then sleeps."""
    rank = torch.distributed.get_rank()
    Path(f"{marker}-{rank}.tmp").write_text(str(os.getpid()))
    os.replace(f"{marker}-{rank}.tmp", f"{marker}-{rank}")
    time.sleep(600)


def until_interrupted(marker: str) -> None:
    """Waits for Ctrl-C, and then does what a training run does: finish, and write something down."""
    rank = torch.distributed.get_rank()
    try:
        Path(f"{marker}-{rank}").touch()
        time.sleep(600)
    except KeyboardInterrupt:
        torch.distributed.barrier()
        Path(f"{marker}-{rank}-kept").touch()
        raise


def test_two_processes_form_one_group_of_single_threads() -> None:
    """all_reduce of 10 * (rank + 1) over ranks 0 and 1 is 10 + 20 = 30, on both."""
    assert launch(report, 2, 10.0) == [(0, 30.0, 1, "1"), (1, 30.0, 1, "1")]


def test_one_process_is_a_plain_call() -> None:
    assert launch(os.getpid, 1) == [os.getpid()]


def test_an_input_error_of_one_process_is_raised_here_with_its_own_message() -> None:
    """Although rank 0 hangs in a barrier that rank 1 never reaches."""
    with pytest.raises(InputError, match=r"^tau = 7: expected \.\.\.$"):
        launch(stumble, 2, "input")


@pytest.mark.parametrize(
    ("kind", "message"), [("other", "KeyError: 'frames'"), ("killed", r"code -9.*memory was full\?")]
)
def test_any_other_end_is_a_runtime_error_that_says_what_happened(kind: str, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        launch(stumble, 2, kind)


def test_processes_end_when_the_one_that_started_them_is_killed(tmp_path: Path) -> None:
    """kill -9 of the starter must not leave two processes training on."""
    marker = tmp_path / "pid"
    code = f"from tests.system import test_processes as t; t.launch(t.wait_for_ever, 2, {str(marker)!r})"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    starter = subprocess.Popen([sys.executable, "-c", code], env=environment)
    try:
        files = [Path(f"{marker}-{rank}") for rank in range(2)]
        _until(lambda: all(file.exists() for file in files))
    finally:
        starter.kill()
        starter.wait()
    workers = [int(file.read_text()) for file in files]
    _until(lambda: not any(_alive(worker) for worker in workers))
    assert not any(_alive(worker) for worker in workers)


@pytest.mark.skipif(not hasattr(os, "killpg"), reason="needs process groups")
def test_ctrl_c_lets_the_processes_finish_and_prints_no_traceback(tmp_path: Path) -> None:
    """As a terminal sends it: to the starter and to all that is in its session, which the processes are not."""
    marker = tmp_path / "at"
    code = (
        "import signal, sys\nfrom tests.system import test_processes as t\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests run in the background\n"
        "try:\n"
        f"    t.launch(t.until_interrupted, 2, {str(marker)!r})\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path])}
    command = [sys.executable, "-c", code]
    starter = subprocess.Popen(command, env=environment, start_new_session=True, text=True, stderr=subprocess.PIPE)
    try:
        _until(lambda: all(Path(f"{marker}-{rank}").exists() for rank in range(2)))
        os.killpg(starter.pid, signal.SIGINT)
        _, message = starter.communicate(timeout=120)
    finally:
        starter.kill()
        starter.wait()
    assert starter.returncode == 130
    assert all(Path(f"{marker}-{rank}-kept").exists() for rank in range(2))
    assert message.strip() == "stopping; press Ctrl-C again to stop at once"


@pytest.mark.parametrize("processes", [0, -1, 1.5, "2"])
def test_bad_number_of_processes(processes: object) -> None:
    with pytest.raises(InputError, match="whole number of at least 1"):
        launch(os.getpid, processes)  # type: ignore[arg-type]


def test_what_cannot_be_handed_over_is_named() -> None:
    with pytest.raises(InputError, match="in a module"):
        launch(report, 2, lambda: 1)


def test_no_processes_within_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="torchrun"):
        launch(os.getpid, 2)


def _until(reached: object, seconds: float = 600.0) -> None:
    end = time.monotonic() + seconds
    while not reached():  # type: ignore[operator]
        assert time.monotonic() < end, "took too long"
        time.sleep(0.05)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie has ended; only its entry is left until init has read it.
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def test_processes_without_a_group_know_their_rank_and_nothing_of_each_other() -> None:
    assert launch(os.getenv, 2, "RANK", group=False) == ["0", "1"]
    assert launch(dist.is_initialized, 2, group=False) == [False, False]
