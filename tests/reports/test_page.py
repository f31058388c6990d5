"""The HTML page: small, closed to the outside, and harmless whatever the text; in a browser, it does what it says."""

import base64
import json
import os
import re

import numpy as np
import pytest

from charlm.reports.page import Alignment, ConfusionPanel, CurvesPanel, TextPanel, render_page

HOSTILE = '</script><script>alert(1)</script>"\'&<!--\x1b[31m\u202e'
BROWSER = "/usr/bin/chromium"


def text_panel(text, *, units=2):
    rng = np.random.default_rng(0)
    names = sorted(set(text))
    ids = np.array([names.index(character) for character in text])
    guesses = np.stack([(ids + place) % len(names) for place in range(10)], 1)
    probabilities = np.tile(0.5 ** np.arange(1, 11), (len(text), 1))
    activations = [(f"1:{unit}", np.tanh(rng.standard_normal(len(text)))) for unit in range(units)]
    return TextPanel(list(text), np.linspace(0, 9, len(text)), np.full(len(text), 2.5), 1 + np.arange(len(text)) % 150,
                     guesses, probabilities, names, activations)


def full_page(text="the cat\nsat\n" + HOSTILE + "\u200b\u0301"):
    curves = CurvesPanel([(step, 3 - step / 100) for step in range(1, 100)], [(50, 2.8), (99, 2.5)],
                         [(50, HOSTILE), (99, "the end")])
    alignment = Alignment(list("ab" + HOSTILE[:9]), ["x", "y"], np.full((2, 11), 1 / 11), [("x y", 1.5)])
    return render_page(HOSTILE, HOSTILE, text=text_panel(text), curves=curves, alignments=[alignment],
                       confusion=ConfusionPanel(["<i>", "b"], np.array([[3, 1], [0, 4]])))


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])


def test_no_text_becomes_markup_or_a_control():
    page = full_page()
    assert page.count("<script") == page.count("</script>") == 2 and "alert(1)</" not in page
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u202e]", page)
    assert "".join(data_of(page)["text"]["tokens"]).startswith("the cat↵\nsat↵\n</script>")


def test_a_mark_that_begins_a_line_gets_a_circle_and_no_other_mark_does():
    tokens = data_of(render_page("t", "m", text=text_panel("\u0301e\u0301\n\u0301\u0301a")))["text"]["tokens"]
    assert tokens == ["◌\u0301", "e", "\u0301", "↵\n", "◌\u0301", "\u0301", "a"]


def test_the_page_names_no_address():
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|url\(|@import|fetch\(|XMLHttp", full_page())


def test_20_000_characters_with_64_units_take_under_2_mb():
    text = "".join(chr(97 + index % 26) for index in range(20_000))
    assert len(render_page("t", "m", text=text_panel(text, units=64)).encode()) < 2_000_000


def test_values_survive_their_packing():
    panel = text_panel("abcab")
    found = data_of(render_page("t", "m", text=panel))["text"]

    def unpack(name, kind):
        return np.frombuffer(base64.b64decode(found[name]), kind)

    assert unpack("bits", "<u2") / 256 == pytest.approx(panel.bits, abs=0.002)
    assert unpack("rank", "<u2").tolist() == panel.rank.tolist()
    probabilities = 2.0 ** (-20 * (unpack("chances", "u1").reshape(-1, 10) / 255) ** 2)
    assert probabilities == pytest.approx(panel.probabilities, rel=0.06)
    assert [found["names"][index] for index in unpack("guesses", "u1")[::10]] == [*"abcab"]
    packed = np.frombuffer(base64.b64decode(found["units"][0]["values"]), "u1")
    levels = np.stack([packed & 15, packed >> 4], 1).reshape(-1)[:5] / 7 - 1
    assert levels == pytest.approx(panel.units[0][1], abs=0.08)


@pytest.fixture
def browser_page(tmp_path):
    """Return a page of an offline browser that records console messages, errors and requests."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    if not os.path.exists(BROWSER):
        pytest.skip(f"no {BROWSER}")
    file = tmp_path / "page.html"
    file.write_text(full_page(), encoding="utf-8")
    with sync_api.sync_playwright() as driver:
        arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = driver.chromium.launch(executable_path=BROWSER, args=arguments)
        page = browser.new_context(offline=True).new_page()
        page.seen = []
        for event in ("console", "pageerror", "request", "dialog"):
            page.on(event, lambda found, event=event: page.seen.append((event, getattr(found, "url", str(found)))))
        page.goto(f"file://{file}")
        yield page
        browser.close()


@pytest.mark.slow
def test_in_a_browser_keys_mouse_and_slider_do_what_they_say(browser_page):
    page = browser_page
    assert page.seen == [("request", page.url)]         # nothing else is requested, and the console stays empty
    details, body = page.locator("#details"), page.locator("body")
    page.keyboard.press("ArrowRight")
    assert re.match(r"h\s+bits\s+0\.\d\d\s+rank\s+2\s+entropy\s+2\.50", details.inner_text())
    page.locator("#tokens span").nth(4).hover()
    assert details.inner_text().startswith("c") and "0.50" in details.inner_text()
    spans = page.locator("#tokens span")
    last = spans.count() - 1
    for index, shown in ((3, "␣"), (last - 1, "U+200B"), (last, "◌\u0301")):
        spans.nth(index).dispatch_event("mouseover", {"bubbles": True})
        assert details.locator("b").inner_text() == shown
    page.keyboard.press("ArrowDown")
    assert (body.get_attribute("data-measure"), body.get_attribute("data-unit")) == ("unit", "1:1")
    page.keyboard.press("ArrowUp")
    assert body.get_attribute("data-unit") == "1:0"
    plain = page.locator("#tokens span").first.get_attribute("style")
    page.locator("input[value=rank]").check()
    assert body.get_attribute("data-measure") == "rank"
    assert page.locator("#tokens span").first.get_attribute("style") != plain
    assert "first guess" in page.locator("#legend").inner_text()
    assert page.locator("#sample").inner_text().startswith("</script>")
    page.locator("#step").focus()
    page.keyboard.press("End")
    assert page.locator("#sample").inner_text() == "the end"
    assert page.locator("#grid td").count() == 22 and "x y (1.50 bits)" in page.locator("#n-best").inner_text()
    assert page.locator("#table td").first.inner_text() == "3"
    assert len(page.seen) == 1
