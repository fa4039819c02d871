"""The built site as a reader meets it: every page in headless Chromium, wide and narrow, light and dark. No network.

    make book-test              # the site in _build/html
    IVTUTORIAL_SITE=FOLDER CHROMIUM=/usr/bin/chromium python -m pytest tests/book/site_in_browser.py -k 05_editing

Not a part of `make test`, whose `pytest tests` passes over files without `test_` in their names: it wants a built site
and a browser. Chromium is Debian's `chromium`, or any other that is on the PATH or in the variable CHROMIUM.
"""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

import pytest

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("IVTUTORIAL_SITE", ROOT / "_build" / "html")).resolve()
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts)
FRONT = "index.html"  # sends its reader on at once
CHAPTERS = [page for page in PAGES if re.fullmatch(r"book/\d\d_\w+\.html", page)]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
LARGEST = 3_000_000  # bytes a page
HERE = "http://site/"  # where links are resolved

IMAGES = "() => [...document.images].filter(i => !(i.complete && i.naturalWidth)).map(i => i.outerHTML.slice(0, 120))"
FORMULAS = """() => [...document.querySelectorAll('.math')]
    .filter(m => !m.querySelector('mjx-container svg') || m.querySelector('[data-mjx-error], merror'))
    .map(m => m.textContent.slice(0, 80))"""
WIDER = """() => document.documentElement.scrollWidth <= window.innerWidth + 1 ? [] :
    [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > window.innerWidth + 1)
    .filter(e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
        if (getComputedStyle(p).overflowX !== 'visible') return false; return true; })
    .slice(0, 5).map(e => e.outerHTML.slice(0, 90))"""
CUT = """() => [...document.querySelectorAll('div.math')].filter(box => {
    box.scrollLeft = 0;
    const glyphs = [...box.querySelectorAll('path, use, rect, text')].map(g => g.getBoundingClientRect());
    const seen = glyphs.filter(g => g.width), {left, right} = box.getBoundingClientRect();
    return Math.min(...seen.map(g => g.left)) < left - 1 || Math.max(...seen.map(g => g.right)) > right + 1;
}).map(box => box.textContent.slice(0, 80))"""
VIDEOS = """async () => {
    const decode = v => new Promise(done => {
        const said = () => v.outerHTML.slice(0, 60) + ' ' + (v.error ? v.error.message : 'state ' + v.readyState);
        if (v.readyState >= 2) return done('');
        v.addEventListener('loadeddata', () => done(v.videoWidth ? '' : said()));
        v.addEventListener('error', () => done(said()));
        setTimeout(() => done(said()), 20000);
        v.preload = 'auto';
        v.load();
    });
    const found = await Promise.all([...document.querySelectorAll('video')].map(decode));
    return found.filter(text => text);
}"""
STEPS = """() => [...document.querySelectorAll('main [role=group] input[type=range][data-labels]')].map(slider => {
    const group = slider.closest('[role=group]'), last = +slider.max;
    const open = () => [...group.querySelectorAll('[data-panel]')].map(p => p.getBoundingClientRect().height > 0);
    const move = k => { slider.value = k; slider.dispatchEvent(new Event('input')); return open().indexOf(true); };
    const words = new Set(), seen = [];
    for (let k = 0; k <= last; k++) { seen.push(move(k)); words.add(group.querySelector('output').textContent); }
    const single = open().filter(x => x).length === 1;
    return seen.every((panel, k) => panel === k) && words.size === last + 1 && single ? '' : group.ariaLabel;
}).filter(text => text)"""
DARK = "theme => { document.documentElement.dataset.theme = theme; document.documentElement.dataset.mode = theme; }"


class Page(HTMLParser):
    """The links and the anchors of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = {"", "top"}
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        result = dict(attrs)
        self.anchors |= {result[name] or "" for name in ("id", "name") if name in result}
        if tag == "a" and result.get("href"):
            self.links.append(result["href"] or "")


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as one:
        threading.Thread(target=one.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{one.server_port}/"
        one.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    path = os.environ.get("CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("no Chromium found: install it (Debian: apt-get install chromium) or set CHROMIUM to its path")
    sandbox = ["--no-sandbox"] if getattr(os, "geteuid", lambda: 1)() == 0 else []
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=path, args=sandbox)
        yield one
        one.close()


class Visit:
    """A page in a tab of its own, with everything that went wrong on the way."""

    def __init__(self, browser: Any, address: str, **context: Any) -> None:
        self.problems: list[str] = []
        self.base = address.split("/", 3)[:3]
        self.tab = browser.new_context(viewport=WIDE, color_scheme="light", **context).new_page()
        self.tab.set_default_timeout(60_000)
        self.tab.on("console", lambda said: self.note("console", said.text) if said.type == "error" else None)
        self.tab.on("pageerror", lambda error: self.note("script", str(error)))
        self.tab.on("requestfailed", lambda request: self.note("request failed", request.url[:100]))
        self.tab.on("response", lambda answer: self.note("status", answer.url) if answer.status >= 400 else None)
        self.tab.route("**/*", self.only_here)
        self.tab.goto(address, wait_until="load")
        self.tab.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")

    def only_here(self, route: Any) -> None:
        """Cut the network: what is not of this site is noted and gets no answer."""
        if route.request.url.split("/", 3)[:3] == self.base:
            route.continue_()
        else:
            self.note("leaves the site", route.request.url[:100])
            route.abort()

    def note(self, kind: str, text: str) -> None:
        self.problems.append(f"{kind}: {text}")

    def ask(self, kind: str, script: str) -> None:
        for text in self.tab.evaluate(script):
            self.note(kind, text)

    def look(self, width: dict[str, int], theme: str) -> None:
        """Width, and what axe-core finds, at this size and in these colours."""
        from axe_playwright_python.sync_playwright import Axe

        self.tab.set_viewport_size(width)
        self.tab.evaluate(DARK, theme)
        self.tab.wait_for_timeout(400)  # the theme makes code that now overflows focusable 300 ms after a change
        where = f"at {width['width']} px, {theme}"
        self.ask(f"scrolls sideways {where}", WIDER)
        self.ask(f"formula cut {where}", CUT)
        result = Axe().run(self.tab, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
        for one in (one for one in result if one["impact"] in ("serious", "critical")):
            nodes = [f"{node['target']} {node['html'][:110]}" for node in one["nodes"][:4]]
            self.note(f"axe {where}", f"{one['id']} x{len(one['nodes'])}: {nodes}")

    def close(self) -> None:
        self.tab.context.close()


def test_the_site_is_there():
    assert {"index.html", "search.html", "book/index.html"} <= set(PAGES) and CHAPTERS, f"no site in {SITE}"


def test_the_front_page_leads_to_the_book(browser: Any, server: str):
    tab = browser.new_page()
    tab.goto(server + FRONT, wait_until="commit")
    tab.wait_for_url(server + "book/index.html", timeout=20_000)
    assert tab.title()
    tab.close()


@pytest.mark.parametrize("page", [page for page in PAGES if page != FRONT])
def test_a_page_in_the_browser(browser: Any, server: str, page: str):
    """Nothing fails, nothing leaves the site, everything that should show shows, in two sizes and two themes."""
    visit = Visit(browser, server + page)
    visit.ask("picture", IMAGES)
    visit.ask("formula", FORMULAS)
    visit.ask("video", VIDEOS)
    visit.ask("slider", STEPS)
    visit.look(WIDE, "light")
    visit.look(NARROW, "dark")
    visit.close()
    assert not visit.problems, "\n".join(visit.problems)


def test_the_slider_obeys_the_keyboard(browser: Any, server: str):
    page = next(page for page in CHAPTERS if "data-panel" in (SITE / page).read_text(encoding="utf-8"))
    visit = Visit(browser, server + page)
    slider = visit.tab.locator("main [role=group] input[type=range][data-labels]").first
    before = slider.get_attribute("aria-valuetext")
    slider.focus()
    visit.tab.keyboard.press("Home")
    visit.tab.keyboard.press("ArrowRight")
    assert slider.input_value() == "1"
    visit.tab.keyboard.press("End")
    assert slider.get_attribute("aria-valuetext") not in (None, before)
    visit.close()


REEL = ".reel:not(.reel .reel)"  # the outermost ones
# How far each clip is, in percent: the last number of "min(100%, 6.66667%)".
FRAMES = r"""reel => [...reel.querySelectorAll('.film')]
    .map(film => getComputedStyle(film).backgroundPositionX.match(/[\d.]+(?=%\)?$)/)[0])"""


def first_with(text: str) -> str:
    page = next((page for page in CHAPTERS if text in (SITE / page).read_text(encoding="utf-8")), None)
    if page is None:
        pytest.skip(f"no page of the site has {text}")
    return page


def test_clips_play_in_step_until_the_button_stops_them(browser: Any, server: str):
    visit = Visit(browser, server + first_with('class="reel"'), reduced_motion="no-preference")
    reel = visit.tab.locator(REEL).first
    reel.scroll_into_view_if_needed()
    seen = set()
    for _ in range(6):
        visit.tab.wait_for_timeout(150)
        positions = reel.evaluate(FRAMES)
        assert len(set(positions)) == 1, "all clips show the same frame"
        seen.add(positions[0])
    assert len(seen) > 1, "they move"
    button = reel.locator(".reel-bar button")
    assert button.text_content() == "Pause"
    button.press("Enter")
    still = reel.evaluate(FRAMES)
    visit.tab.wait_for_timeout(400)
    assert button.text_content() == "Play" and reel.evaluate(FRAMES) == still
    visit.close()


def test_clips_wait_where_little_motion_is_asked_for_and_go_frame_by_frame(browser: Any, server: str):
    visit = Visit(browser, server + first_with('class="reel"'), reduced_motion="reduce")
    reel = visit.tab.locator(REEL).first
    reel.scroll_into_view_if_needed()
    visit.tab.wait_for_timeout(500)
    assert set(reel.evaluate(FRAMES)) == {"0"}
    slider = reel.locator(".reel-bar input")
    slider.focus()
    visit.tab.keyboard.press("ArrowRight")
    assert set(reel.evaluate(FRAMES)) != {"0"} and "frame 1," in (reel.locator(".reel-bar").text_content() or "")
    visit.tab.keyboard.press("End")
    assert set(reel.evaluate(FRAMES)) == {"100"}
    visit.close()


@pytest.mark.parametrize("page", [page for page in PAGES if not page.startswith("_modules/")])
def test_a_page_is_finished(page: str):
    """No exercise's "not written yet", no placeholder of an address, no player's controls over a picture."""
    text = (SITE / page).read_text(encoding="utf-8")
    unfinished = ["Not written yet: ", "OWNER/ivtutorial"] + (["<video controls"] if page in CHAPTERS else [])
    assert [words for words in unfinished if words in text] == []


@pytest.mark.parametrize("page", CHAPTERS)
def test_a_chapter_says_where_it_stands(page: str):
    text = (SITE / page).read_text(encoding="utf-8")
    assert text.count('class="you-are-here"') == 1 and 'class="here"' in text


def test_the_quiz_of_pairs_can_be_taken(browser: Any, server: str):
    """Choosing X each time ends with as many letters as there are pairs, on a page without a kernel."""
    page = next((page for page in CHAPTERS if "data-pair" in (SITE / page).read_text(encoding="utf-8")), None)
    if page is None:
        pytest.skip("no page of the site has a quiz")
    visit = Visit(browser, server + page)
    quiz = visit.tab.locator("[data-choose]:has([data-pair])").first
    count = quiz.locator("[data-pair]").count()
    for _ in range(count):
        quiz.locator("button[value=X]:visible").first.click()
    assert quiz.locator("[data-letters]").text_content() == "X" * count
    assert not visit.problems, "\n".join(visit.problems)
    visit.close()


SEARCHES = [("TAR", "07_tar"), ("temporal_attenuation", "ivtutorial.method.video_reward")]


@pytest.mark.parametrize(("words", "expected"), SEARCHES)
def test_search_finds(browser: Any, server: str, words: str, expected: str):
    visit = Visit(browser, f"{server}search.html?q={words}")
    # The hits are listed one after another: the one that is asked for need not be among the first.
    visit.tab.wait_for_selector(f"#search-results ul.search a[href*='{expected}']", state="attached")
    assert visit.problems == []
    visit.close()


def test_a_page_opens_without_a_server(browser: Any):
    """From the disk, as a reader opens `_build/html/index.html`: formulas and clips are there."""
    visit = Visit(browser, (SITE / CHAPTERS[0]).as_uri())
    visit.ask("formula", FORMULAS)
    visit.ask("video", VIDEOS)
    visit.close()
    assert visit.problems == []


@pytest.mark.parametrize("page", [page for page in CHAPTERS if (ROOT / page).with_suffix(".ipynb").exists()])
def test_a_chapter_can_be_opened_on_colab_and_downloaded(page: str):
    """The button to Colab is there as soon as the repository has an address; without one nothing leads nowhere."""
    links = Page((SITE / page).read_text(encoding="utf-8")).links
    notebook = page.replace(".html", ".ipynb")
    address = re.compile(rf"https://colab\.research\.google\.com/github/[\w-]+/[\w.-]+/blob/main/{re.escape(notebook)}")
    has_address = "/OWNER/" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert any(address.fullmatch(link) for link in links) == has_address
    assert has_address or not any("colab.research.google.com/github" in link for link in links)
    near = [link for link in links if link.endswith(Path(notebook).name) and "://" not in link]
    downloads = [SITE / page / ".." / link for link in near]
    assert downloads and all(path.resolve().is_file() for path in downloads)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_small(page: str):
    assert (SITE / page).stat().st_size <= LARGEST


def broken_links() -> list[str]:
    parsed = {page: Page((SITE / page).read_text(encoding="utf-8")) for page in PAGES}
    broken = set()
    for page, content in parsed.items():
        for link in content.links:
            target, anchor = urldefrag(urljoin(f"{HERE}{page}", link))
            name = unquote(target.removeprefix(HERE).partition("?")[0])
            if target.startswith(HERE) and name in parsed and unquote(anchor) not in parsed[name].anchors:
                broken.add(f"{page}: {link}: no such anchor")
            elif target.startswith(HERE) and not (SITE / name).is_file():
                broken.add(f"{page}: {link}: no such file")
    return sorted(broken)


def test_links_and_anchors_within_the_site_lead_somewhere():
    assert broken_links() == []
