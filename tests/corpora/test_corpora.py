"""The corpora are what corpora/README.md says they are.

The weather rule and the pairs are read from the files here with this file's own code, so that a mistake in generate.py cannot
vouch for itself. Not here: whether a model learns any of them.
"""

import importlib.util
import re
import unicodedata
from pathlib import Path

import pytest

CORPORA = Path(__file__).resolve().parents[2] / "corpora"
GENERATED = ("namaskar", "numbers", "weather")
WEATHER_LINE = re.compile(r"(-?\d+) (\d+) (\d+) \| (-?\d+) (\d+) (\d+) \| (-?\d+) (\d+) (\d+)\t(rain|dry)")


def load_generate():
    spec = importlib.util.spec_from_file_location("corpora_generate", CORPORA / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


generate = load_generate()


def lines_of(name):
    """The lines of a corpus: UTF-8, each ended by \\n and nothing else."""
    text = (CORPORA / name).read_bytes().decode("utf-8")
    assert text.endswith("\n")
    assert "\r" not in text
    return text[:-1].split("\n")


def weather_rows():
    """((temperature, pressure, humidity) * 3 as nine integers, label) of each line."""
    matches = [WEATHER_LINE.fullmatch(line) for line in lines_of("weather.tsv")]
    assert all(matches)
    return [(tuple(map(int, match.groups()[:9])), match[10]) for match in matches]


@pytest.mark.parametrize("name", GENERATED)
def test_generated_file_is_what_its_function_returns(name):
    suffix = "txt" if name == "namaskar" else "tsv"
    assert lines_of(f"{name}.{suffix}") == getattr(generate, name)()


def test_main_writes_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    generate.main()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["namaskar.txt", "numbers.tsv", "weather.tsv"]
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (CORPORA / path.name).read_bytes()


def test_namaskar_is_one_word_on_64_lines():
    assert lines_of("namaskar.txt") == ["namaskar"] * 64


def test_places_are_at_least_1200_distinct_names():
    places = lines_of("places.txt")
    assert len(places) >= 1_200
    assert len(set(places)) == len(places)


def test_places_are_shuffled_and_clean():
    places = lines_of("places.txt")
    # In alphabetical order the held-out tail would be of other letters than what is learned.
    assert {name[0] for name in places[:200]} >= set("ABCDKMPST")
    assert all(place and place == " ".join(place.split()) for place in places)
    assert all(place == unicodedata.normalize("NFC", place) for place in places)


def test_places_are_in_latin_script():
    letters = {character for place in lines_of("places.txt") for character in place if character.isalpha()}
    okina = "\N{MODIFIER LETTER TURNED COMMA}"  # a letter of Hawaiian, Tongan and Samoan
    assert all(unicodedata.name(letter).startswith("LATIN ") for letter in letters - {okina})


@pytest.mark.parametrize("place", ["Reykjavík", "Łódź", "Ñuñoa", "Győr", "São Paulo", "Hà Nội", "Whangārei", "Kyoto"])
def test_places_keep_their_diacritics(place):
    assert place in lines_of("places.txt")


def test_numbers_are_6000_distinct_pairs():
    pairs = [line.split("\t") for line in lines_of("numbers.tsv")]
    assert len(pairs) == 6_000
    assert all(len(pair) == 2 for pair in pairs)
    assert len({number for number, _ in pairs}) == 6_000
    assert len({words for _, words in pairs}) == 6_000


def test_numbers_hold_all_below_1000_and_stay_below_a_million():
    sources = [line.split("\t")[0] for line in lines_of("numbers.tsv")]
    assert all(re.fullmatch(r"0|[1-9]\d{0,5}", source) for source in sources)
    assert {int(source) for source in sources} >= set(range(1_000))


def test_large_numbers_are_spread_evenly_over_their_logarithms():
    large = [number for number in (int(line.split("\t")[0]) for line in lines_of("numbers.tsv")) if number >= 1_000]
    assert len(large) == 5_000
    shares = [sum(low <= number < 10 * low for number in large) for low in (1_000, 10_000, 100_000)]
    # Of the 9,000 numbers of four digits some are drawn twice and kept once, so their share is the smallest.
    assert all(1_300 < share < 2_000 for share in shares)


def test_numbers_are_shuffled():
    numbers = [int(line.split("\t")[0]) for line in lines_of("numbers.tsv")]
    small_in_first_half = sum(number < 1_000 for number in numbers[:3_000])
    assert 400 < small_in_first_half < 600


@pytest.mark.parametrize(
    "number, words",
    [
        (0, "zero"),
        (7, "seven"),
        (13, "thirteen"),
        (20, "twenty"),
        (42, "forty-two"),
        (100, "one hundred"),
        (101, "one hundred and one"),
        (342, "three hundred and forty-two"),
        (999, "nine hundred and ninety-nine"),
        (1000, "one thousand"),
        (1005, "one thousand and five"),
        (1100, "one thousand one hundred"),
        (12345, "twelve thousand three hundred and forty-five"),
        (20018, "twenty thousand and eighteen"),
        (100000, "one hundred thousand"),
        (101090, "one hundred and one thousand and ninety"),
        (999999, "nine hundred and ninety-nine thousand nine hundred and ninety-nine"),
    ],
)
def test_english_agrees_with_hand_worked_numbers(number, words):
    assert generate.english(number) == words


def value_of(words):
    """The number that British English words name, read from left to right."""
    units = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    values = {word: value for value, word in enumerate((units + " seventeen eighteen nineteen").split())}
    values |= {word: 10 * ten for ten, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
    thousands = current = 0
    for word in re.split("[ -]", words.replace(" and ", " ")):
        if word == "thousand":
            thousands, current = 1_000 * current, 0
        elif word == "hundred":
            current *= 100
        else:
            current += values[word]
    return thousands + current


def test_every_pair_of_numbers_reads_back():
    pairs = [line.split("\t") for line in lines_of("numbers.tsv")]
    assert [value_of(words) for _, words in pairs] == [int(number) for number, _ in pairs]


@pytest.mark.parametrize("number", [-1, 1_000_000])
def test_english_refuses_what_it_cannot_say(number):
    with pytest.raises(ValueError, match="0..999999"):
        generate.english(number)


@pytest.mark.parametrize(
    "first_pressure, third_pressure, third_humidity, expected",
    [
        (1013, 1001, 88, True),
        (1013, 1010, 70, True),
        (1013, 1010, 69, False),
        (1013, 1016, 88, False),
        (1013, 1013, 88, False),
        (1013, 1016, 50, False),
    ],
)
def test_rains_only_on_fallen_pressure_and_moist_air(first_pressure, third_pressure, third_humidity, expected):
    days = [(18, first_pressure, 65), (17, 1008, 71), (15, third_pressure, third_humidity)]
    assert generate.rains(days) is expected


def test_the_stated_rule_holds_on_every_line_of_weather():
    for (_, first_pressure, _, _, _, _, _, third_pressure, third_humidity), label in weather_rows():
        assert label == ("rain" if third_pressure < first_pressure and third_humidity >= 70 else "dry")


def test_weather_is_6000_lines_and_none_twice():
    lines = lines_of("weather.tsv")
    assert len(lines) == 6_000
    assert len(set(lines)) == 6_000


def test_weather_labels_are_balanced():
    labels = [label for _, label in weather_rows()]
    assert 0.35 < labels.count("rain") / len(labels) < 0.65


def test_weather_pressure_always_moves_by_3():
    assert min(abs(values[7] - values[1]) for values, _ in weather_rows()) >= 3


def test_weather_stays_within_nature():
    for values, _ in weather_rows():
        assert all(-20 <= temperature <= 40 for temperature in values[0::3])
        assert all(960 <= pressure <= 1055 for pressure in values[1::3])
        assert all(0 <= humidity <= 100 for humidity in values[2::3])


def test_readme_comparison_figures_are_true_of_weather():
    rows = weather_rows()
    always_dry = sum(label == "dry" for _, label in rows)
    humid_alone = sum((values[8] >= 70) == (label == "rain") for values, label in rows)
    fell_alone = sum((values[7] < values[1]) == (label == "rain") for values, label in rows)
    assert [round(100 * right / len(rows)) for right in (always_dry, humid_alone, fell_alone)] == [62, 82, 90]


@pytest.mark.parametrize("name", ["places.txt", "namaskar.txt", "numbers.tsv", "weather.tsv"])
def test_readme_states_the_size_of_each_file(name):
    readme = (CORPORA / "README.md").read_text(encoding="utf-8")
    row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
    assert f"| {len(lines_of(name)):,} | {(CORPORA / name).stat().st_size:,} |" in row


def test_ferrywoman_is_a_long_ascii_ledger():
    ferrywoman = (CORPORA / "ferrywoman.txt").read_bytes()
    assert len(ferrywoman) >= 120_000
    assert ferrywoman.isascii()
    assert b"Entered in the ledger:" in ferrywoman
