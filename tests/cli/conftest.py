"""A tiny trained model, and the `charlm` command as a process or inside this one."""

import contextlib
import io
import itertools
import os
import shlex
import subprocess
import sys

import pytest

SECONDS = 60
TINY = ["--threads", "1", "--hidden", "16", "--layers", "1", "--steps", "30"]
VERSES = "".join(f"{count} green bottles, señor, hanging on the wall;\nand if {word} bottle should fall\n"
                 for count in range(40, 10, -1) for word in ("one", "no"))
SOURCES = ["".join(letters) for length in (1, 2, 3, 4) for letters in itertools.product("abé", repeat=length)]
PAIRS = [(source, source.upper()) for source in SOURCES]
BRIEF = ["--hidden", "8", "--layers", "1", "--steps", "2"]
EAGER = [*TINY, "--lr", "0.03", "--warmup", "3", "--batch-size", "32"]      # learns to copy in 30 steps
STEMS = ["".join(letters) for letters in itertools.product("BFLM", "aou", "nrt")]
LABELLED = [(label, form.format(stem)) for stem in STEMS
            for label, form in (("Irish", "O'{}ey"), ("Icelandic", "{}sson"), ("Español", "{}ñez"), ("Irish", "O'{}an"))]
WILD = "\ufeff" + "\x1b[45mred\x00[/] :smile: é\r\n" * 60


def environment(**changes):
    """This process's, without settings of charlm or of Python's text mode; None takes a name away."""
    kept = {name: value for name, value in os.environ.items()
            if not name.startswith(("CHARLM", "_CHARLM", "PYTHONUTF8", "PYTHONIOENCODING"))}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}


def run_charlm(*arguments, cwd, env=None, python=(), **streams):
    """`python -m charlm ...` with both outputs kept as bytes unless redirected."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    if "input" not in streams:
        streams.setdefault("stdin", subprocess.DEVNULL)
    return subprocess.run([sys.executable, *python, "-m", "charlm", *map(str, arguments)], cwd=cwd,
                          env=environment(**(env or {})), timeout=SECONDS, check=False, **streams)


@contextlib.contextmanager
def unchanged_environment():
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def brief_training():
    """Speed is measured for a moment only; torch's settings are put back afterwards."""
    from charlm.cli.options import yield_when_waiting
    yield_when_waiting()
    import torch
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("charlm.training.session.MEASURED", 0.02)
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(False)


def run_here(*arguments):
    """The command in this process, without its error boundary: errors are raised."""
    from charlm.cli.main import cli
    words = [str(argument) for argument in arguments]
    with unchanged_environment():
        if words[0] != "train":
            cli.main(words, prog_name="charlm", standalone_mode=False)
            return
        with brief_training():
            cli.main([*words, "--threads", "1"], prog_name="charlm", standalone_mode=False)


@pytest.fixture
def charlm(tmp_path):
    """Runs the command as a process, in `tmp_path` unless told otherwise."""
    def run(*arguments, cwd=tmp_path, **more):
        return run_charlm(*arguments, cwd=cwd, **more)
    return run


@pytest.fixture
def shell(tmp_path):
    """Runs a bash script in which `charlm` is the command."""
    def run(script, **env):
        define = f'charlm() {{ {shlex.quote(sys.executable)} -m charlm "$@"; }}\n'
        return subprocess.run(["bash", "-c", define + script], cwd=tmp_path, timeout=SECONDS,
                              env=environment(**env), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, encoding="utf-8", check=False)
    return run


@pytest.fixture
def here():
    return run_here


@pytest.fixture
def piped(monkeypatch, capfdbinary):
    """Runs the command in this process, error boundary and all, with these bytes as stdin."""
    def run(data, *arguments):
        from charlm.cli.exit_codes import run_and_exit
        capfdbinary.readouterr()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
        with pytest.raises(SystemExit) as left:
            run_and_exit(lambda: run_here(*arguments))
        return subprocess.CompletedProcess(arguments, left.value.code, *capfdbinary.readouterr())
    return run


@pytest.fixture(scope="session")
def through():
    """What the command writes for these bytes as stdin, in this process; errors are raised.

    For Hypothesis, too, which wants no fixture that is one test's own.
    """
    def run(data, *arguments):
        written = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
            patch.setattr(sys, "stdout", written)
            run_here(*arguments)
        return written.buffer.getvalue()
    return run


@pytest.fixture(scope="session")
def uniform(tmp_path_factory):
    """A function from a model to one of the same kind that takes all its ids for equally likely."""
    folder = tmp_path_factory.mktemp("uniform")

    def made_of(path):
        from charlm.modelfile import load, save
        model = load(str(path))
        for values in model.weights.values():
            values[...] = 0
        save(str(folder / path.name), model)
        return folder / path.name
    return made_of


@pytest.fixture
def learn(here, tmp_path, capfdbinary):
    """Trains on a file of this name and content, or on what is there; returns model and progress."""
    def run(name, content=None, *flags):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        capfdbinary.readouterr()
        here("train", tmp_path / name, "-o", tmp_path / "learnt.charlm", "--force", *BRIEF, *flags)
        from charlm.modelfile import load
        return load(str(tmp_path / "learnt.charlm")), capfdbinary.readouterr().err.decode()
    return run


@pytest.fixture
def tiny():
    """Flags of a network that trains in a moment."""
    return list(TINY)


@pytest.fixture
def clean_environment():
    return environment


@pytest.fixture
def refusal():
    """The single line of a failed command, after checking that it is one and no traceback."""
    def line(done):
        text = done.stderr if isinstance(done.stderr, str) else done.stderr.decode()
        assert text.startswith("charlm: error: "), text
        assert text.endswith("\n") and text.count("\n") == 1, text
        assert not done.stdout
        return text
    return line


@pytest.fixture(scope="session")
def verses(tmp_path_factory):
    """A small text with a non-ASCII letter in every verse."""
    path = tmp_path_factory.mktemp("texts") / "verses.txt"
    path.write_text(VERSES, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def wild_text(tmp_path_factory):
    """A BOM, then ESC, NUL, CRLF, emoji names and what rich takes for markup."""
    path = tmp_path_factory.mktemp("texts") / "wild.txt"
    path.write_bytes(WILD.encode())
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory, verses):
    """The finished process that trained `model`, in the folder that it ran in."""
    folder = tmp_path_factory.mktemp("trained")
    done = run_charlm("train", verses, *TINY, cwd=folder)
    assert done.returncode == 0, done.stderr.decode()
    done.folder = folder
    return done


@pytest.fixture(scope="session")
def model(trained):
    return trained.folder / "verses.charlm"


@pytest.fixture(scope="session")
def wild_model(tmp_path_factory, wild_text):
    path = tmp_path_factory.mktemp("trained") / "wild.charlm"
    run_here("train", wild_text, "-o", path, *TINY, "--quiet")
    return path


@pytest.fixture(scope="session")
def lexicon(tmp_path_factory):
    """Pairs: short words, and the same in capitals."""
    path = tmp_path_factory.mktemp("texts") / "lexicon.tsv"
    path.write_text("".join(f"{source}\t{target}\n" for source, target in PAIRS), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def held_out_pairs(tmp_path_factory):
    """Pairs that `pairs_model` was validated on."""
    path = tmp_path_factory.mktemp("texts") / "held-out.tsv"
    path.write_text("".join(f"{source * 2}\t{target * 2}\n" for source, target in PAIRS[::8]), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def pairs_model(tmp_path_factory, lexicon, held_out_pairs):
    """Writes different targets for different sources, though not always the right ones."""
    path = tmp_path_factory.mktemp("trained") / "lexicon.charlm"
    run_here("train", lexicon, "-o", path, *EAGER, "--seed", 4, "--quiet", "--validation", held_out_pairs)
    return path


@pytest.fixture(scope="session")
def fill_model(tmp_path_factory, verses):
    path = tmp_path_factory.mktemp("trained") / "fill.charlm"
    run_here("train", verses, "-o", path, *TINY, "--quiet", "--fill")
    return path


@pytest.fixture(scope="session")
def names(tmp_path_factory):
    """Lines: short names, some of them with an apostrophe or a letter that is not ASCII."""
    path = tmp_path_factory.mktemp("texts") / "names.txt"
    path.write_text("".join(f"{name}\n" for _, name in LABELLED), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def labelled_names(tmp_path_factory):
    """The same behind their labels, of three; one is twice as frequent as the others."""
    path = tmp_path_factory.mktemp("texts") / "surnames.tsv"
    path.write_text("".join(f"{label}\t{name}\n" for label, name in LABELLED), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def lines_model(tmp_path_factory, names):
    """Of lines without labels."""
    path = tmp_path_factory.mktemp("trained") / "names.charlm"
    run_here("train", names, "-o", path, *EAGER, "--quiet", "--lines")
    return path


@pytest.fixture(scope="session")
def labels_model(tmp_path_factory, labelled_names):
    """Tells the labels of most of its lines."""
    path = tmp_path_factory.mktemp("trained") / "surnames.charlm"
    run_here("train", labelled_names, "-o", path, *EAGER, "--steps", 90, "--quiet", "--labels")
    return path
