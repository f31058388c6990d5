"""charlm.kenlm: KenLM's documented examples with only the import changed, on models of each kind; definitions."""

import copy
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest

import charlm
from charlm import kenlm
from charlm.config import ModelConfig
from charlm.modelfile import Model, save
from charlm.text.labels import Labels
from charlm.text.line_hashes import LineHashes
from charlm.text.special_tokens import vocabulary_sizes
from charlm.text.tokenizers.registry import train
from tests.helpers.models import random_weights

TEXT = "the river ran low and the ferry lay still .\n" * 40
LABELS = Labels(("dry", "wet"), (3, 1))
KINDS = {"text": ("text", "char", {}), "lines": ("lines", "char", {}), "labels": ("labels", "char", {}),
         "windows": ("text", "char", {"encoder": "bidirectional", "attention": True, "window": 7}),
         "bytes": ("text", "byte", {}), "subwords": ("lines", "bpe", {})}
SENTENCE = "the ferry ran ."

# The calls that python/example.py, python/kenlm.pyx and README of https://github.com/kpu/kenlm show.
EXAMPLES = '''
model = kenlm.LanguageModel(PATH)
assert "%d-gram model" % model.order
line = "the ferry ran low ."
total = model.score(line)
parts = list(model.full_scores(line))
assert abs(sum(log10 for log10, _, _ in parts) - total) < 1e-3
tokens = ["<s>", *line.split(), "</s>"]
assert all(token in model for token in tokens)
for stop, (log10, length, oov) in enumerate(parts, 2):      # the n-gram that ends with this word
    assert tokens[stop - length:stop] == tokens[:stop] and log10 < 0 and not oov

here, there = kenlm.State(), kenlm.State()
model.BeginSentenceWrite(here)
total = model.BaseScore(here, "the", there)
total += model.BaseScore(there, "river", here)
assert abs(total - model.score("the river", eos = False)) < 1e-3
total += model.BaseScore(here, "</s>", there)
assert abs(total - model.score("the river")) < 1e-3
model.NullContextWrite(here)
total = model.BaseScore(here, "low", there) + model.BaseScore(there, "and", here)
assert abs(total - model.score("low and", bos = False, eos = False)) < 1e-3

assert model.score("the river ran .") == model.score("the river ran .", bos = True, eos = True)
assert model.score("low and", bos = False, eos = False) > model.score("low and", bos = False, eos = True)
assert model.score("low and </s>", bos = False, eos = False) == model.score("low and", bos = False, eos = True)
assert model.perplexity("the river ran .") > 1

config = kenlm.Config()
config.load_method = kenlm.LoadMethod.LAZY
config.show_progress = False
config.arpa_complain = kenlm.ARPALoadComplain.NONE
model = kenlm.Model(PATH, config)
result = model.BaseFullScore(here, "still", there)
assert repr(result) == "FullScoreReturn(%r, %r, %r)" % (result.log_prob, result.ngram_length, result.oov)
'''


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    """Random models of all kinds that score, by name."""
    folder = tmp_path_factory.mktemp("kenlm")
    for name, (task, kind, options) in KINDS.items():
        tokenizer, labels = train(kind, [TEXT], vocabulary_size=None), LABELS if task == "labels" else None
        writes, reads = vocabulary_sizes(task, tokenizer, tokenizer)
        config = ModelConfig(writes, hidden_size=8, embedding_size=4, labels=len(labels or ()), **options,
                             source_vocabulary_size=reads if options else 0)
        hashes = None if task == "text" else LineHashes(np.zeros(0, np.uint64))
        save(str(folder / name), Model(config, tokenizer, random_weights(config), {}, task, None, labels, hashes))
    return {name: str(folder / name) for name in KINDS}


@pytest.fixture(params=KINDS)
def path(request, paths):
    return paths[request.param]


@pytest.fixture
def model(path):
    return kenlm.Model(path)


@pytest.mark.parametrize("statement", ["import charlm.kenlm as kenlm", "from charlm import kenlm"])
def test_examples_of_kenlm_run_with_only_the_import_changed(paths, statement):
    for path in paths.values() if statement.startswith("import") else [paths["text"]]:
        exec(compile(f"{statement}\nPATH = {path!r}\n{EXAMPLES}", "example.py", "exec"), {})


def test_kenlm_needs_no_torch(paths):
    code = (f"import sys\nfrom charlm import kenlm\nkenlm.Model({paths['text']!r}).score('a')\n"
            "print('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout == "False\n"


@pytest.mark.parametrize("name", sorted(KINDS.keys() - {"subwords"}))
def test_a_score_is_the_line_s_surprisal_as_log10(paths, name):
    loaded = charlm.load(paths[name])
    line = SENTENCE + ("\n" if loaded.task == "text" else "")
    expected = -loaded.score(line).bits * math.log10(2)
    assert kenlm.Model(paths[name]).score(f"  {SENTENCE.replace(' ', '  ')}\n") == pytest.approx(expected, rel=1e-5)


def test_words_and_the_end_add_up_to_the_score_in_any_steps(model):
    scores = list(model.full_scores(SENTENCE))
    assert len(scores) == 5 and sum(score for score, _, _ in scores) == pytest.approx(model.score(SENTENCE))
    state, after, stepped = kenlm.State(), kenlm.State(), []
    model.BeginSentenceWrite(state)
    for word in [*SENTENCE.split(), "</s>"]:
        stepped.append(model.BaseFullScore(state, word, after))
        state, after = after, state
    assert [one.log_prob for one in stepped] == pytest.approx([score for score, _, _ in scores], rel=1e-4)
    assert [(one.ngram_length, one.oov) for one in stepped] == [(length, False) for length in range(2, 7)]


def test_probabilities_of_single_characters_and_the_end_add_up_to_one(paths):
    model = kenlm.Model(paths["lines"])
    letters = [chr(code) for code in sorted(set(map(ord, TEXT)) - {32, 10})]
    state = kenlm.State()
    model.NullContextWrite(state)
    odds = sum(10 ** model.BaseScore(state, word, kenlm.State()) for word in [*letters, "</s>"])
    loaded = charlm.load(paths["lines"])
    logits, _ = loaded.network.step(np.array([loaded.tokenizer.encode(" ")]), loaded.network.start(1))
    others = np.exp(logits[0, 0, [0, *loaded.tokenizer.encode("\n ")]] - np.logaddexp.reduce(logits[0, 0])).sum()
    assert odds + others == pytest.approx(1, abs=1e-5)


def test_perplexity_counts_the_end_as_a_word(model):
    assert model.perplexity(SENTENCE) == pytest.approx(10 ** (-model.score(SENTENCE) / 5))
    assert kenlm.Model(model.path).perplexity("x" * 5000) > 1


def test_without_bos_and_eos_a_fragment_follows_a_space(paths):
    model = kenlm.Model(paths["text"])
    lengths = [length for _, length, _ in model.full_scores("low and", bos=False, eos=False)]
    assert lengths == [1, 2] and model.score("", eos=False) == 0
    assert model.score("low and", bos=False) != model.score("low and")
    assert [length for _, length, _ in model.full_scores("low </s> and", eos=False)] == [2, 3, 2]


def test_a_word_with_an_unknown_character_is_out_of_the_vocabulary(paths):
    model = kenlm.Model(paths["text"])
    assert "ferry" in model and b"ferry" in model and "<s>" in model and "</s>" in model
    assert "Łódź" not in model and "" not in model
    assert [oov for _, _, oov in model.full_scores("the Łódź ferry")] == [False, True, False, False]
    assert "Łódź" in kenlm.Model(paths["bytes"])


def test_bytes_are_utf_8_and_words_are_split_as_in_kenlm(paths):
    model = kenlm.Model(paths["bytes"].encode())
    assert model.score("Łódź low".encode()) == model.score("Łódź low") == model.score("Łódź\tlow")
    assert len(list(model.full_scores("low\u00a0and"))) == 2
    with pytest.raises(TypeError, match="^Cannot convert <class 'int'> to string"):
        model.score(3)


def test_states_are_values(model):
    one, two = kenlm.State(), kenlm.State()
    model.BeginSentenceWrite(one)
    model.BaseScore(one, "the", two)
    again = copy.copy(one)
    model.BaseScore(again, "the", again)
    assert again == two == copy.deepcopy(two) and again is not two and hash(again) == hash(two)
    assert one != two and (one < two) != (two < one) and len({one, two, again}) == 2
    with pytest.raises(ValueError, match="^the state is empty; set it with BeginSentenceWrite"):
        model.BaseScore(kenlm.State(), "the", two)


def test_a_model_that_cannot_be_read_is_an_os_error_as_in_kenlm(tmp_path, paths):
    with pytest.raises(OSError, match="^Cannot read model '.*missing'"):
        kenlm.Model(str(tmp_path / "missing"))
    (tmp_path / "x").write_text("no model")
    with pytest.raises(OSError, match="^Cannot read model"):
        kenlm.Model(tmp_path / "x")


def test_a_model_can_be_pickled_and_shows_its_file(paths):
    model = pickle.loads(pickle.dumps(kenlm.LanguageModel(paths["text"])))
    assert type(model) is kenlm.LanguageModel and repr(model) == "<Model from b'text'>"
    assert model.path == paths["text"].encode()
