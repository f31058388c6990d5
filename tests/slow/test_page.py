"""The page of a text in a real browser, without a network; skipped where there is no chromium or playwright."""

import re
import shutil

import pytest

from tests.helpers.pages import HOSTILE, hostile_page

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(params=["light", "dark"])
def browser_page(request, tmp_path):
    """The page in a browser without a network, and everything that it says or asks for."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if not CHROMIUM:
        pytest.skip("needs chromium")
    written, trace = hostile_page()
    (tmp_path / "page.html").write_text(written, encoding="utf-8")
    said = []
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(color_scheme=request.param, offline=True)
        shown = context.new_page()
        shown.on("console", lambda message: said.append(message.text))
        shown.on("pageerror", lambda error: said.append(str(error)))
        shown.on("request", lambda asked: said.append(asked.url))
        shown.on("dialog", lambda dialog: said.append(dialog.message))
        shown.goto((tmp_path / "page.html").as_uri())
        yield shown, said, trace
        browser.close()


def test_a_browser_shows_it_and_obeys_pointer_and_keys(browser_page):
    shown, said, trace = browser_page
    about, which = (lambda: shown.inner_text("#about")), (lambda: shown.inner_text("#which"))
    assert shown.locator("#text span").count() == len(HOSTILE)
    shown.hover("#text span:nth-child(3)")
    assert f"{trace.nats[2] / 0.6931472:.2f} bits" in about() and f"rank {trace.rank[2]} " in about()
    shown.keyboard.press("ArrowRight")
    assert f"rank {trace.rank[3]} " in about() and about().count(" 0.") >= 9
    shown.keyboard.press("r")
    rank = trace.rank[3]
    bucket = sum(rank >= first for first in (2, 4, 11, 101))
    assert shown.get_attribute("#text span:nth-child(4)", "class") == f"r{bucket} here"
    shown.click("#unit")
    first = which()
    shown.keyboard.press("ArrowDown")
    second = which()
    shown.keyboard.press("ArrowUp")
    assert first != second and which() == first and re.match(r"\d:\d+: [\w-]+, (high|low) inside, area 0\.\d+", first)
    name = first.split(": ")[0]
    shown.keyboard.press("s")
    assert f"{trace.units[3, trace.unit_names.index(name)]:.1f}".replace("-0.0", "0.0")[:2] in about()
    assert len(said) == 1 and said[0].startswith("file://")
