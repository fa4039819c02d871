"""The page of an evaluation: every clip with its prompt and numbers, and the table of means, in one HTML file.

Clips lie beside it and are linked, so the page is small; the folder can be moved or zipped as a whole.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from ivtutorial.pages.style import STYLE
from ivtutorial.system.files import atomic_write_text

if TYPE_CHECKING:
    from ivtutorial.evaluation.intervals import Estimate

PAGE_FILE = "index.html"
_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Evaluation</title><link rel="icon" href="data:,"><style>$style
.clips video { width: 100%; image-rendering: pixelated; display: block; }</style></head>
<body><main><h1>Evaluation</h1>
<p class="lead">$lead</p>
<h2>Means over all clips</h2>
<div class="wide" role="region" aria-label="Table of means" tabindex="0"><table>
<thead><tr><th scope="col" class="name">column</th><th scope="col">mean</th><th scope="col">standard deviation</th>
<th scope="col">95 % interval of the mean</th></tr></thead><tbody>$means</tbody></table></div>
<h2>Clips</h2><div class="clips">$clips</div>
<h2>Settings</h2><dl>$settings</dl>
</main></body></html>
""")


def write_page(
    folder: str | Path,
    rows: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Estimate],
    settings: Mapping[str, Any],
) -> Path:
    """Write index.html into the folder of an evaluation.

    Args:
        folder: where the clips lie.
        rows: of the table; "clip" is the path of the file below the folder.
        summary: column -> estimate.
        settings: name -> value.

    Returns:
        The file.

    Raises:
        InputError: it cannot be written.
    """
    path = Path(folder) / PAGE_FILE
    reward = summary["reward"]
    lead = f"Reward {reward.mean:.4f} (95 % interval {reward.low:.4f} to {reward.high:.4f}, {reward.n} clips)."
    content = {
        "style": STYLE,
        "lead": lead,
        "means": "".join(_mean(name, asdict(one)) for name, one in summary.items()),
        "clips": "".join(_clip(row) for row in rows),
        "settings": "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in settings.items()),
    }
    atomic_write_text(path, _PAGE.substitute(content))
    return path


def _mean(name: str, one: Mapping[str, Any]) -> str:
    numbers = f"<td>{one['mean']:.4f}</td><td>{one['std']:.4f}</td><td>{one['low']:.4f} to {one['high']:.4f}</td>"
    return f'<tr><th scope="row">{_text(name)}</th>{numbers}</tr>'


def _clip(row: Mapping[str, Any]) -> str:
    label = f"{row['prompt']}, seed {row['seed']}"
    video = f'<video controls loop muted playsinline src="{_text(row["clip"])}" aria-label="{_text(label)}"></video>'
    return f"<figure>{video}<figcaption>{_text(label)}: <b>{row['reward']:.3f}</b></figcaption></figure>"


def _text(value: Any) -> str:
    return html.escape(str(value), quote=True)
