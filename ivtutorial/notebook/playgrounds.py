"""Pieces to play with, as HTML that needs no kernel and no other file: their arithmetic is in the page.

Show them with `IPython.display.HTML(...)`. Each follows the schedule of the book, so that its numbers are those of the
text.
"""

from __future__ import annotations

from ivtutorial.pages.page import render_page


def noise_circle() -> str:
    """Clip and noise as two directions at a right angle; a slider for the timestep turns z_t from one to the other.

    It shows a and s as the sides of z_t, the velocity at a right angle to it, the 20 timesteps of the sampler as
    dots, and by how much one step turns z_t.

    Returns:
        HTML text.
    """
    return render_page("noise_circle.html")


def line_world() -> str:
    """Diffusion of a single number that is known in full: sliders for the steps D, the guidance and eta.

    "Clips" are numbers from two peaks; the caption makes one of them more likely. The network is replaced by the best
    possible answer, the mean of the noise given the state, so that what goes wrong is the sampler's doing.

    Returns:
        HTML text.
    """
    return render_page("line_world.html")
