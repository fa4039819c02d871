"""Studies whose content is known."""

from __future__ import annotations

import json
from pathlib import Path

from ivtutorial.lab.study.answers import Answer
from ivtutorial.lab.study.pairs import ClipPair, Study


def folder(path: Path, prompts: int = 3, seeds: tuple[int, ...] = (0,), clip: bytes | None = None) -> Path:
    """An evaluation folder whose clips are a few bytes, different in every folder."""
    (path / "clips").mkdir(parents=True)
    rows = []
    for index in range(prompts):
        for seed in seeds:
            name = f"clips/{index:04d}-{seed}.mp4"
            (path / name).write_bytes(clip or f"{path.name} {index} {seed}".encode())
            rows.append({"index": index, "prompt": f"fox number {index}", "seed": seed, "clip": name, "reward": 0.0})
    (path / "evaluation.json").write_text(json.dumps({"settings": {}, "rows": rows}))
    return path


def many(count: int) -> Study:
    """A study without files, for statistics."""
    return Study([ClipPair(k, f"prompt {k}", 0, Path("a"), Path("b")) for k in range(count)], ("a", "b"), "many")


def answer(rater: str, index: int, winner: str, question: str = "quality", left: str = "X", seed: int = 0) -> Answer:
    return Answer("s", "a", "b", rater, index, "p", seed, question, left, winner, 1.0, "t")  # type: ignore[arg-type]
