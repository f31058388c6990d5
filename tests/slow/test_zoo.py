"""Every kind of file that a shell may hand to charlm, and how every verb that reads a text ends on it.

The exit codes are written down by hand: 0, or 4 for a text that is refused. Not here: hostile models (test_hostile_models.py),
one very long line (test_one_line.py).
"""

import bz2
import gzip
import random

import pytest

pytestmark = pytest.mark.slow

TINY = ["--hidden", "8", "--layers", "1", "--steps", "3", "--batch-size", "2", "--bptt", "8", "--threads", "1", "--quiet"]
VERBS = ("train", "lines", "sample", "score", "eval", "tokens")
TEXT = "one fish, two fish\nred fish, blue fish\nnaïve fish\n"
WORDS = TEXT.encode()
MANY = "".join(map(chr, range(0x4E00, 0x4E00 + 5000)))
NOISE = random.Random(0).randbytes(5000)
MEGABYTE = (b"she sells sea shells on the sea shore " * 30_000)[:1_000_000]

# name: what is in it, and the exit codes of VERBS.
ZOO = {
    "empty.txt": (b"", "440040"),                                       # a prompt may be empty, and no lines are answered by none
    "byte.txt": (b"a", "440000"),                                       # too short to learn from, not to be scored
    "character.txt": ("€".encode(), "440000"),
    "two.txt": (b"ab", "440000"),
    "three.txt": (b"abc", "040000"),                                    # the least to learn from; a single line is none to hold out
    "newlines.txt": (b"\n" * 100, "040000"),                            # as lines they are all the same
    "nul.txt": (b"\0" * 100, "040000"),
    "nul-lines.txt": (b"a\0b\n\0\n\0\0\n" * 9, "000000"),
    "bom.txt": (b"\xef\xbb\xbf", "440040"),                             # nothing behind it
    "bom-text.txt": (b"\xef\xbb\xbf" + WORDS, "000000"),
    "bom-inside.txt": (b"a\xef\xbb\xbfb\nc\n", "000000"),
    "crlf.txt": (WORDS.replace(b"\n", b"\r\n"), "000000"),
    "cr.txt": (WORDS.replace(b"\n", b"\r"), "040000"),                  # one line
    "mixed-ends.txt": (b"a\nb\r\nc\rd\n\re\r\r\nf", "000000"),
    "no-end.txt": (WORDS.removesuffix(b"\n"), "000000"),
    "invalid-start.txt": (b"\xff" + WORDS, "444444"),
    "invalid-middle.txt": (WORDS + b"\xc3(" + WORDS, "444444"),
    "invalid-end.txt": (WORDS + b"\x80", "444444"),
    "truncated.txt": (WORDS + "€".encode()[:2], "444444"),
    "overlong.txt": (WORDS + b"\xc0\xaf", "444444"),
    "latin-1.txt": (TEXT.encode("latin-1"), "444444"),
    "utf-16.txt": (TEXT.encode("utf-16"), "444444"),
    "surrogates.txt": (WORDS + "\ud83d\ude80".encode("utf-8", "surrogatepass"), "444444"),
    "beyond.txt": (WORDS + b"\xf4\x90\x80\x80", "444444"),              # U+110000
    "last.txt": ("\U0010ffff\n\U0010fffe\n".encode() * 9, "000000"),
    "combining.txt": (b"e\xcc\x81\n" + b"\xcc\x81\xcc\x80\xcc\x96\n" + b"Z" + b"\xcc\x81" * 200 + b"\n", "000000"),
    "rtl.txt": ("שלום עולם\n\u202eabc\u202c\nمرحبا\n".encode(), "000000"),
    "emoji.txt": ("\U0001f469\u200d\U0001f680 \U0001f1eb\U0001f1f7\n\u2764\ufe0f\n".encode() * 5, "000000"),
    "separators.txt": ("a\x85b\u2028c\u2029d\x0be\x0cf\x1cg\nh\n".encode(), "000000"),
    "megabyte.txt": (MEGABYTE, "040000"),                               # one line
    "short-lines.txt": (b"".join(bytes([97 + number % 26, 10]) for number in range(20_000)), "000000"),
    "symbols.txt": ("\n".join(MANY[start:start + 50] for start in range(0, 5000, 50)).encode(), "000000"),
    "escapes.txt": ("\x1b[31mred\x1b[0m\n\x1b]0;title\x07\n\x9b1m\x1b[2J\n".encode(), "000000"),
    "markup.txt": (b"[/]\n[bold]x[/bold] :smile:\n[link=file:///etc]\n\\[\n", "000000"),
    "tabs.txt": (b"\t" * 100, "040000"),
    "pairs.txt": (b"".join(b"%d\t%d\n" % (number, number * 7) for number in range(40)), "000000"),
    "unlike-pairs.tsv": (b"a\tb\tc\n" * 9, "440000"),                   # the ending says pairs; as lines they are all the same
    "noise.bin": (NOISE, "444444"),
    "packed.txt.gz": (gzip.compress(WORDS), "000000"),
    "joined.txt.gz": (gzip.compress(WORDS) + gzip.compress(b"more\n"), "000000"),
    "packed.bz2": (bz2.compress(WORDS), "000000"),
    "cut.gz": (gzip.compress(WORDS * 9)[:-9], "444444"),
    "none.gz": (WORDS, "444444"),
    "empty.gz": (b"", "440040"),
    "trailing.gz": (gzip.compress(WORDS) + b"junk", "000000"),                 # ignored with a warning
    "packed-but-unnamed.txt": (gzip.compress(WORDS), "444444"),
    "folder": (None, "444444"),
    "missing.txt": (None, "444444"),
    "model.txt": (None, "444444"),
    "--odd [name] \x1b\n.txt": (WORDS, "000000"),
}
# Their meaning does not lie in their names.
PLAIN = [name for name, (data, _) in ZOO.items() if data is not None and not name.endswith((".gz", ".bz2", ".tsv")) and data != MEGABYTE]


@pytest.fixture(scope="module")
def models(tmp_path_factory, inside):
    """Of characters, most of them of the zoo unknown, and of bytes, to which none is."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "text").write_bytes(WORDS * 5)
    for kind in ("char", "byte"):
        assert inside("train", folder / "text", "-o", folder / kind, "--tokenizer", kind, *TINY) == (0, b"", [])
    return folder


def put(folder, name, models):
    """The file of this name, made."""
    path = folder / name
    if name == "folder":
        path.mkdir()
    elif name == "model.txt":
        path.write_bytes((models / "char").read_bytes())
    elif ZOO[name][0] is not None:
        path.write_bytes(ZOO[name][0])
    return path


def bytes_of(name):
    """The bytes of the text in a file that is valid."""
    data = ZOO[name][0]
    if name.endswith(".gz"):
        return gzip.decompress(data.removesuffix(b"junk")) if data else b""
    return bz2.decompress(data) if name.endswith(".bz2") else data


def checked(run):
    """What a run wrote and its exit code, after looking at its complaints: one line of error or none."""
    code, out, lines = run
    errors = [line for line in lines if line.startswith("charlm: error: ")]
    assert len(errors) == (code != 0) and all(line.startswith("charlm: ") for line in lines), lines
    assert not any("internal" in line or "Traceback" in line or "\x1b" in line for line in lines), lines
    return code, out


@pytest.mark.parametrize("name", ZOO, ids=ascii)
def test_every_verb_ends_as_expected(inside, models, tmp_path, monkeypatch, name):
    put(tmp_path, name, models)
    monkeypatch.chdir(tmp_path)
    use, learn = ["-m", models / "char"], [*TINY, "-o", "out.charlm", "--force"]
    ended = {"train": checked(inside("train", *learn, "--", name))[0],
             "lines": checked(inside("train", "--lines", *learn, "--", name))[0],
             "sample": checked(inside("sample", *use, "-n", 5, "--seed", 1, "-f", name))[0],
             "score": checked(inside("score", *use, "--", name))[0],
             "eval": checked(inside("eval", *use, "--", name))[0]}
    ended["tokens"], ids = checked(inside("tokenize", "-m", models / "byte", "--", name))
    code, back = checked(inside("detokenize", "-m", models / "byte", stdin=ids))
    assert {verb: str(code) for verb, code in ended.items()} == dict(zip(VERBS, ZOO[name][1]))
    assert code == 0 and (ended["tokens"] or back == bytes_of(name))
    assert {one.name for one in tmp_path.iterdir()} - {name} == ({"out.charlm"} if 0 in (ended["train"], ended["lines"]) else set())


@pytest.mark.parametrize("name", PLAIN, ids=ascii)
def test_standard_input_ends_like_a_file(inside, models, tmp_path, name):
    data, codes = ZOO[name]
    use, output = ["-m", models / "char"], tmp_path / "out"
    ended = [inside("train", *TINY, "-o", output, "-", stdin=data), inside("sample", *use, "-n", 5, "-f", "-", stdin=data),
             inside("score", *use, stdin=data), inside("eval", *use, "-", stdin=data)]
    assert "".join(str(checked(run)[0]) for run in ended) == codes[0] + codes[2:5]
    assert output.exists() == (codes[0] == "0")
