"""A run that diverges ends with advice, and with the checkpoint to go back to if there is one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ivtutorial.errors import InputError
from ivtutorial.training.checkpoints import LATEST, STATE_FILE
from ivtutorial.training.step import end_if_diverged


def run_in(folder: Path) -> Any:
    return SimpleNamespace(out=folder, config=SimpleNamespace(max_skipped=2), accelerator=SimpleNamespace(scaler=None))


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_only_a_checkpoint_that_exists_is_named(tmp_path: Path, has_checkpoint: bool) -> None:
    checkpoint = tmp_path / "checkpoints" / "step-000002"
    if has_checkpoint:
        checkpoint.mkdir(parents=True)
        (checkpoint / STATE_FILE).write_text("{}")
        (checkpoint.parent / LATEST).write_text(checkpoint.name)
    words = f"The last checkpoint, {checkpoint}, is from before" if has_checkpoint else "No checkpoint had been written"
    progress: Any = SimpleNamespace(step=4, skipped_in_row=2)
    with pytest.raises(InputError) as caught:
        end_if_diverged(run_in(tmp_path), progress)
    assert words in str(caught.value) and "Lower lr" in str(caught.value)


def test_fewer_bad_steps_do_not_end_a_run(tmp_path: Path) -> None:
    progress: Any = SimpleNamespace(step=4, skipped_in_row=1)
    assert end_if_diverged(run_in(tmp_path), progress) is None  # type: ignore[func-returns-value]
