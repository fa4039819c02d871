"""Sphinx extension: the method as a row of stations, each a chapter. One table here makes two things of it:

- the directive `pipeline`, a diagram whose boxes lead to the chapters;
- a strip "you are here" below the title of every page that `HERE` lists.

The diagram is 376 units wide, so that its text is about 12 pixels high on a phone; colours are the page's.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

WIDTH, HEIGHT = 100, 50  # of a box


@dataclass(frozen=True)
class Station:
    """A box: what it is called, the chapter that teaches it (with its number), where it stands in the diagram."""

    name: str
    page: str
    chapter: int
    x: int
    y: int


STATIONS = (
    Station("clip", "small_world", 2, 4, 6),
    Station("noise", "01_video_diffusion", 1, 126, 6),
    Station("last τD steps", "05_editing", 5, 248, 6),
    Station("frames", "06_segvr", 6, 248, 86),
    Station("reward", "03_human_preference", 3, 126, 86),
    Station("weighting", "07_tar", 7, 4, 86),
    Station("LoRA", "08_lora", 8, 248, 166),
)
ALL = tuple(station.name for station in STATIONS)

# Page -> the stations that it is about, and what it does there.
HERE: dict[str, tuple[tuple[str, ...], str]] = {
    "00_start": (ALL, "the method at one glance"),
    "01_video_diffusion": (("noise", "last τD steps"), "noise, the network, and the sampler's steps"),
    "small_world": (("clip",), "the clips, and who judges them"),
    "03_human_preference": (("reward",), "a reward from people's choices"),
    "04_naive_is_expensive": (("last τD steps",), "what a gradient through all steps would cost"),
    "05_editing": (("noise", "last τD steps"), "start from a noised clip, take the last steps only"),
    "06_segvr": (("frames",), "which frames are rewarded"),
    "07_tar": (("weighting",), "how much each frame counts"),
    "08_lora": (("LoRA",), "the few weights that are trained"),
    "09_putting_it_together": (ALL, "the whole loop, trained"),
    "10_full_size": (ALL, "the whole loop on a GPU"),
    "11_rivals": (ALL, "other ways round the loop"),
    "12_evaluation": (("clip",), "clips before and after, compared"),
    "13_ablations": (ALL, "what each choice is worth"),
    "14_over_optimisation": (("reward",), "when the reward rises and the clips do not"),
    "15_other_rewards": (("reward",), "another reward, or several"),
    "17_more_reward": (("last τD steps", "LoRA"), "more reward from the same steps"),
    "18_flow_matching": (("noise", "last τD steps"), "the same with flow matching and transformers"),
}

# Arrows of the diagram: forward ones, the gradient's way, and what it changes.
ARROWS = (
    ("", "M104 31H122"),
    ("", "M226 31H244"),
    ("", "M298 56V82"),
    ("", "M248 111H230"),
    ("", "M126 111H108"),
    ("gradient", "M54 136V191H244"),
    ("", "M348 191H364V31H352"),
)


def strip(page: str, address: Any) -> str:
    """The stations in a row, this page's lit.

    Args:
        page: name of the page within its folder, in `HERE`.
        address: name of a page -> address from here.

    Returns:
        HTML text.
    """
    lit, words = HERE[page]
    items = []
    for station in STATIONS:
        here = ' class="here"' if station.name in lit else ""
        mark = ' aria-current="page"' if station.page == page else ""
        items.append(f'<li{here}><a href="{address(station.page)}"{mark}>{html.escape(station.name)}</a></li>')
    return (
        f'<nav class="you-are-here" aria-label="Where this chapter stands in the method"><ol>{"".join(items)}</ol>'
        f"<p>You are here: {html.escape(words)}.</p></nav>"
    )


def diagram(address: Any) -> str:
    """The stations as boxes with arrows, each box a link.

    Args:
        address: name of a page -> address from here.

    Returns:
        HTML text.
    """
    arrows = "".join(f'<path class="arrow {kind}" marker-end="url(#pipeline-head)" d="{d}"/>' for kind, d in ARROWS)
    boxes = "".join(
        f'<a href="{address(s.page)}"><rect x="{s.x}" y="{s.y}" width="{WIDTH}" height="{HEIGHT}" rx="8"/>'
        f'<text x="{s.x + WIDTH // 2}" y="{s.y + 22}" class="name">{html.escape(s.name)}</text>'
        f'<text x="{s.x + WIDTH // 2}" y="{s.y + 39}">chapter {s.chapter}</text></a>'
        for s in STATIONS
    )
    return (
        '<svg class="pipeline" viewBox="0 0 376 222" role="group" aria-label="The method: a clip, noise, the last '
        'steps of the sampler, chosen frames, their reward, the weights of the frames; the gradient trains the LoRA.">'
        '<defs><marker id="pipeline-head" viewBox="0 0 8 8" refX="6" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto-start-reverse"><path d="M0 0L8 4L0 8z"/></marker></defs>'
        f'{arrows}{boxes}<text x="146" y="184">gradient of the reward</text></svg>'
    )


class Pipeline(SphinxDirective):
    """`pipeline`, without arguments or content."""

    def run(self) -> list[nodes.Node]:
        """Leave the place of the diagram; its links are known when the page is written."""
        return [nodes.raw("", "", format="html", classes=["pipeline-place"])]


def place(app: Any, doctree: nodes.document, docname: str) -> None:
    """Fill in the diagrams of a page, and put the strip below its title."""
    folder, _, page = docname.rpartition("/")

    def address(target: str) -> str:
        return str(app.builder.get_relative_uri(docname, f"{folder}/{target}" if folder else target))

    for node in doctree.findall(nodes.raw):
        if "pipeline-place" in node["classes"]:
            node += nodes.Text(diagram(address))
    title = next(iter(doctree.findall(nodes.title)), None)
    if page in HERE and title is not None and app.builder.format == "html":
        title.parent.insert(title.parent.index(title) + 1, nodes.raw("", strip(page, address), format="html"))


def setup(app: Any) -> dict[str, bool]:
    """Register directive and transform."""
    app.add_directive("pipeline", Pipeline)
    app.connect("doctree-resolved", place)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
