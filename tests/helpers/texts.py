"""Small texts, and the flags of networks that learn them in a moment."""

import itertools

TINY = ["--threads", "1", "--hidden", "16", "--layers", "1", "--steps", "30", "--precision", "float32"]
BRIEF = ["--hidden", "8", "--layers", "1", "--steps", "2"]
EAGER = [*TINY, "--lr", "0.03", "--warmup", "3", "--batch-size", "32"]      # learns to copy in 30 steps

VERSES = "".join(f"{count} green bottles, señor, hanging on the wall;\nand if {word} bottle should fall\n"
                 for count in range(40, 10, -1) for word in ("one", "no"))
# A byte order mark, then ESC, NUL, CRLF, a name of an emoji and what rich takes for markup.
CONTROLS = "\ufeff" + "\x1b[45mred\x00[/] :smile: é\r\n" * 60

SOURCES = ["".join(letters) for length in (1, 2, 3, 4) for letters in itertools.product("abé", repeat=length)]
PAIRS = [(source, source.upper()) for source in SOURCES]

STEMS = ["".join(letters) for letters in itertools.product("BFLM", "aou", "nrt")]
LABELS = ("Español", "Icelandic", "Irish")
# One label has twice as many names as each of the others.
LABELLED_NAMES = [(label, form.format(stem)) for stem in STEMS for label, form in (
    ("Irish", "O'{}ey"), ("Icelandic", "{}sson"), ("Español", "{}ñez"), ("Irish", "O'{}an"))]


def as_lines(lines):
    """Return lines as a text.

    >>> as_lines(["a", "b"])
    'a\\nb\\n'
    """
    return "".join(f"{line}\n" for line in lines)


def as_rows(rows):
    """Return rows as a text of tab-separated values.

    >>> as_rows([("a", "b")])
    'a\\tb\\n'
    """
    return as_lines("\t".join(row) for row in rows)
