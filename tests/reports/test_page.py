"""The page of a text: harmless whatever the text is; tests/slow/test_page.py opens it in a browser."""

import json
import re

from charlm.reports.page import marked_up, page
from tests.helpers.pages import HOSTILE, hostile_page


def test_no_text_leaves_its_element():
    written, _ = hostile_page()
    assert written.count("<script") == written.count("</script>") == 3 and "<!--" not in written
    assert "<b>" not in written and "\u202e" not in written and "\x1b" not in written
    data = json.loads(re.search(r'id="data">(.*?)</script>', written, re.DOTALL)[1])
    assert "".join(data["tokens"]).replace("↵\n", "\n") == HOSTILE.replace("\x1b", "␛").replace("\u202e", "�")
    assert len(data["units"]) == 24 and not re.search(r"(?:src|href)=\"(?!data:)|url\(|@import|https?:", written)


def test_a_token_cannot_end_the_script_that_it_is_in():
    written = page("", {"tokens": ["</script><script>alert(1)</script><!--"]})
    assert written.count("<script") == written.count("</script>") == 3 and "<!--" not in written


def test_marked_up_text_is_escaped():
    shown = marked_up([("<", 9.9, '"'), ("\x1b", 0.0, "'")])
    assert shown.count("<") == 6 and "&lt;" in shown and "␛" in shown and 'title="&quot;"' in shown
