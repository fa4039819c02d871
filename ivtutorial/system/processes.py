"""N single-threaded processes on one machine, joined in a gloo group: the way to use several CPU cores.

Small models spend their time on barriers when threads share a core's work, so two processes with one thread each,
which average their gradients or share out the prompts, are 2-4 times faster than one process with two threads.
Several GPUs are started with `torchrun` or `accelerate launch` instead; the same code then finds their group.

The processes are started as programs of their own and not by `multiprocessing`, so a script needs no
`if __name__ == "__main__"` and a notebook works too. A process ends when the one that started it is gone.

Ctrl-C is heard by the starter only, which passes it on through a pipe, so that the processes may finish a step and
write a checkpoint, and no traceback of theirs is printed. A second Ctrl-C ends them at once.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from _thread import interrupt_main
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from ivtutorial.errors import InputError

Result = TypeVar("Result")
_CALL, _POLL, _PATIENCE = "call.pkl", 0.05, 5.0


def launch(function: Callable[..., Result], processes: int, *args: Any, group: bool = True) -> list[Result]:
    """Call `function(*args)` in N processes at once.

    In each of them `torch.distributed` is ready (backend gloo, CPU only) and torch has one thread, as has every
    library that asks OMP_NUM_THREADS. With one process the function is simply called, here, without a group.

    Args:
        function: of an importable module, that is, not written in the script or notebook itself.
        processes: N >= 1.
        *args: anything that can be pickled; each process gets a copy.
        group: whether the processes are joined. If not, they know RANK and WORLD_SIZE of the environment, and nothing
            of each other: no network is needed then, not even the machine's own.

    Returns:
        What the N calls returned, by rank.

    Raises:
        InputError: N < 1, a function of the script itself, a call from within such a process, or an InputError of
            one of the calls.
        RuntimeError: one of the calls failed otherwise, with its traceback, or was killed. The others are ended.
        KeyboardInterrupt: Ctrl-C, after the calls have ended.

    Example:
        >>> launch(os.getpid, 2)  # doctest: +SKIP
        [4711, 4712]
    """
    if not isinstance(processes, int) or processes < 1:
        raise InputError(f"processes = {processes!r}: expected a whole number of at least 1.")
    if processes == 1:
        return [function(*args)]
    if started_processes() > 1:
        raise InputError(
            f"processes = {processes} inside one of several processes: leave it at 1 under torchrun or accelerate."
        )
    if function.__module__ == "__main__":
        raise InputError(f"{function.__name__} is written in the script itself: put it in a module and import it.")
    with tempfile.TemporaryDirectory(prefix="ivtutorial-") as folder:
        _store(Path(folder, _CALL), (function, args, group))
        workers = [_start(folder, rank, processes) for rank in range(processes)]
        try:
            _wait(workers, Path(folder))
        except KeyboardInterrupt:
            _pass_on(workers)
            raise
        finally:
            _end(workers)
        return [pickle.loads(Path(folder, f"result-{rank}.pkl").read_bytes()) for rank in range(processes)]


def started_processes() -> int:
    """How many processes torchrun, accelerate launch or `launch` says it has started (WORLD_SIZE); 1 without them.

    Raises:
        InputError: WORLD_SIZE is not a number.
    """
    text = os.environ.get("WORLD_SIZE", "1")
    if not text.isdecimal():
        raise InputError(f"WORLD_SIZE = {text!r} in the environment: expected a number, as torchrun sets it. Unset it.")
    return int(text)


def _store(path: Path, content: Any) -> None:
    try:
        path.write_bytes(pickle.dumps(content))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"Cannot hand this to another process ({error}). Give models and rewards by name or folder, define "
            "functions and classes in a module, or use processes = 1."
        ) from error


def _start(folder: str, rank: int, processes: int) -> subprocess.Popen[bytes]:
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
    path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
    environment = {
        **os.environ,
        **threads,
        **{name: str(value) for name, value in group.items()},
        "PYTHONPATH": path,
        "PYTHONSAFEPATH": "1",  # or a file random.py where one happens to stand would be imported
        "CUDA_VISIBLE_DEVICES": "",
        "ACCELERATE_USE_CPU": "true",
        "TOKENIZERS_PARALLELISM": "false",
    }
    command = [sys.executable, "-m", "ivtutorial.system.processes", folder]
    # A session of its own: the terminal sends Ctrl-C to everything in its session, and we pass it on ourselves.
    return subprocess.Popen(command, stdin=subprocess.PIPE, env=environment, start_new_session=True)


def _wait(workers: list[subprocess.Popen[bytes]], folder: Path) -> None:
    """Returns when all have ended well; raises for the first one that has not."""
    while any(worker.poll() is None for worker in workers):
        if any(worker.returncode for worker in workers):
            break
        time.sleep(_POLL)
    # A killed process says nothing, but the others say that it has gone: so it is looked for first.
    ended = {rank: code for rank, worker in enumerate(workers) if (code := worker.poll())}
    for rank, code in sorted(ended.items(), key=lambda item: item[1]):
        _raise(rank, code, folder)


def _pass_on(workers: list[subprocess.Popen[bytes]]) -> None:
    """Tell the processes that Ctrl-C was pressed and wait for them; one that has ended gives the others not long."""
    print("\nstopping; press Ctrl-C again to stop at once", file=sys.stderr, flush=True)
    for worker in workers:
        with suppress(OSError):
            if worker.stdin is not None:
                worker.stdin.write(b"!")
                worker.stdin.flush()
    ended: float | None = None
    while any(worker.poll() is None for worker in workers):
        if ended is None and any(worker.poll() is not None for worker in workers):
            ended = time.monotonic()
        if ended is not None and time.monotonic() > ended + _PATIENCE:
            break
        time.sleep(_POLL)


def _raise(rank: int, code: int, folder: Path) -> None:
    # The rank that stumbled first names the cause; the others only report that it has gone.
    reports = sorted(folder.glob("error-*.pkl"), key=lambda path: path.stat().st_mtime_ns)
    errors = [pickle.loads(path.read_bytes()) for path in reports]
    for usable, message in errors:
        if usable:
            raise InputError(message)
    if errors and code > 0:
        raise RuntimeError(f"one of the processes failed:\n{errors[0][1]}")
    raise RuntimeError(f"process {rank} ended with code {code} without a word; was it killed because memory was full?")


def _end(workers: list[subprocess.Popen[bytes]]) -> None:
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
        worker.wait()
        if worker.stdin is not None:
            worker.stdin.close()


def _listen_to_parent() -> None:
    """A byte is its Ctrl-C. Reading ends only when it is gone, even by kill -9, and then so are we."""

    def watch() -> None:
        while sys.stdin.buffer.read(1):
            _interrupt()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _interrupt() -> None:
    if hasattr(signal, "pthread_kill"):  # also wakes a main thread that sleeps or waits in a system call
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
    else:
        interrupt_main()


def _join_group(folder: Path) -> None:
    import torch
    import torch.distributed as dist

    torch.set_num_threads(1)
    # A shared file instead of a network port: two runs on one machine cannot collide.
    dist.init_process_group(
        "gloo",
        init_method=f"file://{folder / 'store'}",
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
    )


def _work(folder: Path) -> int:
    rank = os.environ["RANK"]
    try:
        # A process that was started in the background ignores Ctrl-C, and hands that down.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _listen_to_parent()
        function, args, group = pickle.loads((folder / _CALL).read_bytes())
        if group:
            _join_group(folder)
        result = function(*args)
        (folder / f"result-{rank}.pkl").write_bytes(pickle.dumps(result))
    except InputError as error:
        _report(folder, rank, (True, str(error)))
        return 1
    except KeyboardInterrupt:  # the one that started us speaks
        return 1
    except Exception:
        _report(folder, rank, (False, traceback.format_exc()))
        return 1
    return 0


def _report(folder: Path, rank: str, error: tuple[bool, str]) -> None:
    hidden = folder / f".error-{rank}"
    hidden.write_bytes(pickle.dumps(error))
    hidden.replace(folder / f"error-{rank}.pkl")


if __name__ == "__main__":
    code = _work(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: threads of gloo and of the watcher would delay or break the end.
    os._exit(code)
