"""Choose the golden values that fit beside the tests: a part of the larger set, at most 2 MB, for every clone.

    python scripts/choose_golden.py FOLDER            # where the larger set lies; writes tests/golden

Whole fixtures are copied; of the others only some cases, with the tensors that these need. Nothing is computed: every
number is one that the authors' code or the hpsv2 package gave (tests/golden/README.md).
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
CHAINS = {(20, 0.1, 1.0), (20, 0.6, 3.0), (20, 1.0, 9.0), (50, 0.6, 3.0)}  # D, tau, guidance


def kept_cases(name: str, cases: Any) -> Any:
    """Of the partial chain one case for each noise level and guidance, of the reward's resizing the usual one."""
    if name == "partial_ddim":
        return [case for case in cases if (case["D"], case["tau"], case["guide_scale"]) in CHAINS]
    if name == "reward":
        return {**cases, "latents": [case for case in cases["latents"] if case["antialias"]]}
    return cases


def texts(value: Any) -> Iterator[str]:
    """Every text in nested lists and dictionaries."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            yield from texts(part)


def mentioned(cases: Any, names: set[str]) -> set[str]:
    """The tensors that cases name, by their full name or by the folder before the last parts of it."""
    prefixes = set(texts(cases))
    return {name for name in names if any(name == item or name.startswith(f"{item}/") for item in prefixes)}


def choose(source: Path, name: str, out: Path) -> int:
    """Write one fixture, its manifest and tensors, and return its size in bytes."""
    from safetensors.torch import load_file, save_file

    manifest = json.loads((source / f"{name}.json").read_text(encoding="utf-8"))
    tensors = load_file(source / manifest["file"])
    every, cases = manifest.get("cases"), kept_cases(name, manifest.get("cases"))
    dropped = mentioned(every, set(tensors)) - mentioned(cases, set(tensors))
    path = out / manifest["file"]
    save_file({key: tensor for key, tensor in tensors.items() if key not in dropped}, path)
    manifest |= {"cases": cases} if cases is not None else {}
    manifest["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    if isinstance(manifest.get("tensors"), dict):
        manifest["tensors"] = {key: text for key, text in manifest["tensors"].items() if key not in dropped}
    written = out / f"{name}.json"
    written.write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path.stat().st_size + written.stat().st_size


def main() -> None:
    """Read the command line and write the fixtures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the larger set")
    parser.add_argument("--out", type=Path, default=ROOT / "tests" / "golden")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    for name in ("schedule", "partial_ddim", "reward"):
        print(f"{name}: {choose(options.folder, name, options.out):,} bytes")


if __name__ == "__main__":
    main()
