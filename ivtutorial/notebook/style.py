"""Colours and plots that colour-blind readers can read, on a light page and on a dark one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

# Okabe and Ito's colours, which stay apart for every common kind of colour blindness; black last. Plots use shape or
# line style beside them, so that no meaning hangs on colour alone.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
BLUE, ORANGE, GREEN, PINK, YELLOW = OKABE_ITO[:5]
GREY = "#767676"


def use_style() -> None:
    """Set matplotlib's defaults for the book.

    Plots keep a white background: as a light card they are readable on a dark page, too.
    """
    from cycler import cycler
    from matplotlib import rcParams

    lines = cycler(color=OKABE_ITO[:5]) + cycler(marker=["o", "s", "^", "D", "v"])
    rcParams.update({"axes.prop_cycle": lines, "axes.spines.top": False, "axes.spines.right": False})
    rcParams.update({"figure.figsize": (7.0, 3.0), "figure.dpi": 120, "figure.constrained_layout.use": True})
    rcParams.update({"figure.facecolor": "white", "savefig.facecolor": "white", "axes.facecolor": "white"})
    rcParams.update({"font.size": 10.5, "axes.titlesize": 11, "axes.titlelocation": "left"})
    rcParams.update({"lines.markersize": 5, "legend.frameon": False, "axes.grid": False})


def frame_row(clip: Tensor) -> NDArray[np.float32]:
    """The frames of a clip in one row, to stand above or below a plot over time.

    Args:
        clip: (F, 3, H, W) in [0, 1].

    Returns:
        float32 (H, F * W, 3), as `plt.imshow` takes it.
    """
    row = clip.detach().float().cpu().permute(2, 0, 3, 1).flatten(1, 2)  # (H, F, W, 3) -> (H, F * W, 3)
    return row.numpy()
