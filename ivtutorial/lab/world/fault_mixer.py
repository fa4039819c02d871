"""A fox whose faults are mixed in the page: sliders for the eight faults, and what the annotators make of it.

The page computes the faults itself, in the order and with the random numbers of `web_faults.degrade`: it holds the
clean clip in bytes, the cast, the shake, the light and the grain. From the same bytes Python's frames differ by about
one level of 255 at most, but for a few 8 x 8 blocks in which a coefficient lies half way between two steps of the
compression.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ivtutorial.lab.world import annotators, facts as world, web_faults as web
from ivtutorial.lab.world.drawing.subjects import subject
from ivtutorial.lab.world.posters import FOX
from ivtutorial.pages.embed import data_address
from ivtutorial.pages.film import film_assets, html_film
from ivtutorial.pages.page import render_page
from ivtutorial.video.writer import to_uint8

SEED = 3  # of the cast, the shake, the light and the grain
GRAIN_STEPS = 30  # levels a standard deviation in which the grain is kept
START = {"wash": 0.25, "watermark": 0.48}  # the frame that the chapter works out by hand


def fault_mixer() -> str:
    """Sliders for the eight faults of frame X, and severity q, utility u and P(X > Y) below it.

    The caption asks for a red fox in the snow. X shows that, with the faults chosen; Y is spotless, in a meadow.

    Returns:
        HTML text with everything in it.
    """
    clean = to_uint8(world.render(FOX, subject("fox")))
    other = world.ClipFacts(FOX.subject, FOX.colour, "meadow", FOX.action, FOX.facing, FOX.seed)
    data = {
        "frames": _text(clean),
        "grain": _text(_grain(clean.shape)),
        "grainSteps": GRAIN_STEPS,
        **_draws(len(clean)),
        "strongest": web.STRONGEST,
        "weights": web.SEVERITY,
        "box": web.watermark_box(*clean.shape[1:3]),
        "utilityOfY": annotators.utility(FOX, other, web.WebFaults()),
    }
    start = {name: START.get(name, 0.0) / top for name, top in web.STRONGEST.items()}
    spotless = Markup(html_film(world.render(other, subject("fox")), "Y: a spotless red fox in a meadow", quality=92))
    return render_page("fault_mixer.html", data=data, start=start, spotless=spotless) + film_assets()


def _draws(count: int) -> dict[str, Any]:
    """What `degrade` draws from the seed: the cast of three colours, and each frame's shake and light."""
    rng = np.random.default_rng(SEED)
    cast = rng.uniform(-1, 1, 3).astype(np.float32)
    shake = rng.standard_normal((count, 2)).astype(np.float32)
    light = rng.standard_normal(count).astype(np.float32)
    return {"cast": cast.tolist(), "shake": shake.tolist(), "light": light.tolist()}


def _grain(shape: tuple[int, ...]) -> NDArray[np.int8]:
    """The grain of frames (F, H, W, 3), in `GRAIN_STEPS` levels a standard deviation."""
    normal = np.random.default_rng((SEED, 0)).standard_normal(shape, np.float32)
    return (normal * GRAIN_STEPS).round().clip(-127, 127).astype(np.int8)


def _text(values: NDArray[Any]) -> str:
    return data_address(np.ascontiguousarray(values).tobytes(), "application/octet-stream").partition(",")[2]
