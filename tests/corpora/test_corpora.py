"""The corpora are what corpora/README.md says they are.

The weather rule, the pairs and the words of numbers are read with this file's own code and vocabulary, so that a
mistake in generate.py or spelling.py can't hide. Not here: whether a model learns any of them.
"""

import importlib
import re
import shutil
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

CORPORA = Path(__file__).resolve().parents[2] / "corpora"
GENERATED = ("namaskar", "numbers", "counting", "weather")
LANGUAGES = ("english", "german", "dutch", "spanish", "turkish", "esperanto")
WEATHER_LINE = re.compile(r"(-?\d+) (\d+) (\d+) \| (-?\d+) (\d+) (\d+) \| (-?\d+) (\d+) (\d+)\t(rain|dry)")


def load(name):
    """Import a module of corpora/, which isn't a package, in the way in which generate.py imports spelling.py."""
    sys.path.insert(0, str(CORPORA))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(CORPORA))


generate = load("generate")
spelling = load("spelling")


def lines_of(name):
    """Return the lines of a corpus, which is UTF-8 with LF line ends."""
    text = (CORPORA / name).read_bytes().decode("utf-8")
    assert text.endswith("\n")
    assert "\r" not in text
    return text[:-1].split("\n")


def weather_rows():
    """Return (nine integers, label) for each line: temperature, pressure and humidity of three days."""
    matches = [WEATHER_LINE.fullmatch(line) for line in lines_of("weather.tsv")]
    assert all(matches)
    return [(tuple(map(int, match.groups()[:9])), match[10]) for match in matches]


@pytest.mark.parametrize("name", GENERATED)
def test_generated_file_is_what_its_function_returns(name):
    suffix = "txt" if name == "namaskar" else "tsv"
    assert lines_of(f"{name}.{suffix}") == getattr(generate, name)()


def test_the_script_writes_the_same_bytes(tmp_path):
    for name in ("generate.py", "spelling.py"):
        shutil.copy(CORPORA / name, tmp_path)
    subprocess.run([sys.executable, "-B", tmp_path / "generate.py"], check=True, timeout=60)
    written = sorted(path for path in tmp_path.iterdir() if path.suffix != ".py")
    assert [path.name for path in written] == ["counting.tsv", "namaskar.txt", "numbers.tsv", "weather.tsv"]
    for path in written:
        assert path.read_bytes() == (CORPORA / path.name).read_bytes()


def test_namaskar_is_one_word_on_64_lines():
    assert lines_of("namaskar.txt") == ["namaskar"] * 64


def test_places_are_at_least_1200_distinct_names():
    places = lines_of("places.txt")
    assert len(places) >= 1_200
    assert len(set(places)) == len(places)


def test_places_are_shuffled_and_clean():
    places = lines_of("places.txt")
    # In alphabetical order, the held-out tail would begin with other letters than the training part.
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


def test_numbers_include_all_below_1000_and_none_above_a_million():
    sources = [line.split("\t")[0] for line in lines_of("numbers.tsv")]
    assert all(re.fullmatch(r"0|[1-9]\d{0,5}", source) for source in sources)
    assert {int(source) for source in sources} >= set(range(1_000))


def test_large_numbers_are_spread_evenly_over_their_logarithms():
    large = [number for number in (int(line.split("\t")[0]) for line in lines_of("numbers.tsv")) if number >= 1_000]
    assert len(large) == 5_000
    shares = [sum(low <= number < 10 * low for number in large) for low in (1_000, 10_000, 100_000)]
    # Duplicates are rejected, and some of the 9,000 numbers of four digits are drawn twice: theirs is the lowest share.
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
    assert spelling.english(number) == words


def series(words, first=1, step=1):
    """Return the values of a series of words: 'ten twenty' from 10 in steps of 10 -> {'ten': 10, 'twenty': 20}."""
    return {word: first + step * index for index, word in enumerate(words.split())}


VALUES = {  # words that only connect others have the value 0
    "english": series(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen",
        first=0,
    )
    | series("twenty thirty forty fifty sixty seventy eighty ninety", 20, 10)
    | {"hundred": 100, "thousand": 1_000, "and": 0},
    "german": series(
        "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
        "achtzehn neunzehn"
    )
    | series("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig", 20, 10)
    | {"ein": 1, "hundert": 100, "tausend": 1_000, "und": 0},
    "dutch": series(
        "een twee drie vier vijf zes zeven acht negen tien elf twaalf dertien veertien vijftien zestien zeventien "
        "achttien negentien"
    )
    | series("twintig dertig veertig vijftig zestig zeventig tachtig negentig", 20, 10)
    | {"honderd": 100, "duizend": 1_000, "en": 0, "ën": 0},
    "spanish": series(
        "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince dieciséis diecisiete "
        "dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro veinticinco veintiséis veintisiete "
        "veintiocho veintinueve"
    )
    | series("treinta cuarenta cincuenta sesenta setenta ochenta noventa", 30, 10)
    | series(
        "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos",
        100,
        100,
    )
    | {"cien": 100, "mil": 1_000, "y": 0},
    "turkish": series("bir iki üç dört beş altı yedi sekiz dokuz")
    | series("on yirmi otuz kırk elli altmış yetmiş seksen doksan", 10, 10)
    | {"yüz": 100, "bin": 1_000},
    "esperanto": series("unu du tri kvar kvin ses sep ok naŭ") | {"dek": 10, "cent": 100, "mil": 1_000},
}


def value_of(words, language):
    """Return the number that the words name, read from left to right; a unit multiplies the smaller parts before it."""
    values = VALUES[language]
    longest_first = "|".join(sorted(values, key=len, reverse=True))
    parts = []
    for word in re.findall(f"{longest_first}|[^ -]", words):
        value, smaller = values[word], 0
        if value in (10, 100, 1_000):
            while parts and parts[-1] < value:
                smaller += parts.pop()
            value *= smaller or 1
        parts.append(value)
    return sum(parts)


def test_every_pair_of_numbers_reads_back():
    pairs = [line.split("\t") for line in lines_of("numbers.tsv")]
    assert [value_of(words, "english") for _, words in pairs] == [int(number) for number, _ in pairs]


@pytest.mark.parametrize("number", [-1, 1_000_000])
def test_english_rejects_numbers_outside_its_range(number):
    with pytest.raises(ValueError, match="0..999999"):
        spelling.english(number)


@pytest.mark.parametrize("language", LANGUAGES[1:])
@pytest.mark.parametrize("number", [-1, 0, 10_000])
def test_the_other_languages_reject_numbers_outside_their_range(language, number):
    with pytest.raises(ValueError, match=rf"{language}\(\) spells 1\.\.9999, not {number}"):
        getattr(spelling, language)(number)


ELEVEN_TO_NINETEEN = {
    "english": "eleven, twelve, thirteen, fourteen, fifteen, sixteen, seventeen, eighteen, nineteen",
    "german": "elf, zwölf, dreizehn, vierzehn, fünfzehn, sechzehn, siebzehn, achtzehn, neunzehn",
    "dutch": "elf, twaalf, dertien, veertien, vijftien, zestien, zeventien, achttien, negentien",
    "spanish": "once, doce, trece, catorce, quince, dieciséis, diecisiete, dieciocho, diecinueve",
    "turkish": "on bir, on iki, on üç, on dört, on beş, on altı, on yedi, on sekiz, on dokuz",
    "esperanto": "dek unu, dek du, dek tri, dek kvar, dek kvin, dek ses, dek sep, dek ok, dek naŭ",
}

HAND_WORKED = {
    "english": {
        1: "one",
        10: "ten",
        21: "twenty-one",
        22: "twenty-two",
        40: "forty",
        100: "one hundred",
        101: "one hundred and one",
        342: "three hundred and forty-two",
        1000: "one thousand",
        1001: "one thousand and one",
        1100: "one thousand one hundred",
        1342: "one thousand three hundred and forty-two",
        2000: "two thousand",
    },
    "german": {
        1: "eins",
        10: "zehn",
        21: "einundzwanzig",
        22: "zweiundzwanzig",
        30: "dreißig",
        31: "einunddreißig",
        60: "sechzig",
        66: "sechsundsechzig",
        77: "siebenundsiebzig",
        100: "einhundert",
        101: "einhunderteins",
        111: "einhundertelf",
        121: "einhunderteinundzwanzig",
        342: "dreihundertzweiundvierzig",
        1000: "eintausend",
        1001: "eintausendeins",
        1101: "eintausendeinhunderteins",
        1342: "eintausenddreihundertzweiundvierzig",
        2000: "zweitausend",
        7017: "siebentausendsiebzehn",
    },
    "dutch": {
        1: "een",
        10: "tien",
        21: "eenentwintig",
        22: "tweeëntwintig",
        23: "drieëntwintig",
        24: "vierentwintig",
        80: "tachtig",
        88: "achtentachtig",
        100: "honderd",
        101: "honderdeen",
        122: "honderdtweeëntwintig",
        200: "tweehonderd",
        342: "driehonderdtweeënveertig",
        1000: "duizend",
        1001: "duizend een",
        1100: "duizend honderd",
        1342: "duizend driehonderdtweeënveertig",
        2000: "tweeduizend",
        3003: "drieduizend drie",
        7777: "zevenduizend zevenhonderdzevenenzeventig",
    },
    "spanish": {
        1: "uno",
        10: "diez",
        20: "veinte",
        21: "veintiuno",
        22: "veintidós",
        23: "veintitrés",
        26: "veintiséis",
        31: "treinta y uno",
        100: "cien",
        101: "ciento uno",
        116: "ciento dieciséis",
        121: "ciento veintiuno",
        342: "trescientos cuarenta y dos",
        500: "quinientos",
        700: "setecientos",
        900: "novecientos",
        1000: "mil",
        1001: "mil uno",
        1100: "mil cien",
        1101: "mil ciento uno",
        1342: "mil trescientos cuarenta y dos",
        2000: "dos mil",
        2003: "dos mil tres",
        5500: "cinco mil quinientos",
        9631: "nueve mil seiscientos treinta y uno",
    },
    "turkish": {
        1: "bir",
        10: "on",
        20: "yirmi",
        21: "yirmi bir",
        22: "yirmi iki",
        30: "otuz",
        60: "altmış",
        100: "yüz",
        101: "yüz bir",
        342: "üç yüz kırk iki",
        1000: "bin",
        1001: "bin bir",
        1100: "bin yüz",
        1342: "bin üç yüz kırk iki",
        2000: "iki bin",
        5678: "beş bin altı yüz yetmiş sekiz",
    },
    "esperanto": {
        1: "unu",
        10: "dek",
        20: "dudek",
        21: "dudek unu",
        22: "dudek du",
        90: "naŭdek",
        100: "cent",
        101: "cent unu",
        110: "cent dek",
        342: "tricent kvardek du",
        1000: "mil",
        1001: "mil unu",
        1100: "mil cent",
        1342: "mil tricent kvardek du",
        2000: "du mil",
        9999: "naŭ mil naŭcent naŭdek naŭ",
    },
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_agrees_with_hand_worked_numbers(language):
    spell = getattr(spelling, language)
    assert {number: spell(number) for number in HAND_WORKED[language]} == HAND_WORKED[language]
    assert ", ".join(map(spell, range(11, 20))) == ELEVEN_TO_NINETEEN[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_number_reads_back_in_each_language(language):
    numbers = range(1, 10_000)
    assert [value_of(getattr(spelling, language)(number), language) for number in numbers] == list(numbers)


def test_german_one_is_eins_at_the_end_and_ein_elsewhere():
    words = [spelling.german(number) for number in range(1, 10_000)]
    assert not any(word.endswith("ein") or re.search("eins(und|hundert|tausend)", word) for word in words)


def test_dutch_has_a_trema_only_after_twee_and_drie():
    words = [spelling.dutch(number) for number in range(1, 10_000)]
    assert not any("eeen" in word or "ieen" in word or re.search("(?<!twee)(?<!drie)ë", word) for word in words)


def counting_pairs():
    """Return (language, words) for each line of counting.tsv."""
    return [tuple(line.split("\t")) for line in lines_of("counting.tsv")]


def test_counting_has_the_stated_number_of_lines_per_language():
    counts = Counter(language for language, _ in counting_pairs())
    assert counts == {"english": 1_200, "german": 1_000, "spanish": 800, "dutch": 600, "turkish": 400, "esperanto": 200}


def test_counting_has_no_duplicate_lines_and_no_ambiguous_words():
    pairs = counting_pairs()
    assert len(set(pairs)) == len({words for _, words in pairs}) == len(pairs) == 4_200


def test_readme_lists_all_words_that_two_languages_share():
    numbers = range(1, 10_000)
    words = {language: set(map(getattr(spelling, language), numbers)) for language in LANGUAGES}
    common = {(one, other): words[one] & words[other] for one, other in combinations(LANGUAGES, 2)}
    shared = {languages: same for languages, same in common.items() if same}
    assert shared == {("german", "dutch"): {"vier", "acht", "elf"}, ("spanish", "esperanto"): {"mil"}}
    assert [pair for pair in counting_pairs() if pair[1] in {"vier", "acht", "elf", "mil"}] == [("spanish", "mil")]


def test_counting_reads_as_numbers_of_the_language_it_names():
    values = [(language, value_of(words, language)) for language, words in counting_pairs()]
    assert all(1 <= value <= 9_999 for _, value in values)
    assert len(set(values)) == 4_200


def test_counting_is_lower_case_and_composed():
    text = "\n".join(lines_of("counting.tsv"))
    assert text == unicodedata.normalize("NFC", text)
    assert not any(character.isupper() for character in text)


def test_counting_is_shuffled():
    counts, tail = (Counter(language for language, _ in pairs) for pairs in (counting_pairs(), counting_pairs()[-420:]))
    assert all(0.05 * counts[language] < tail[language] < 0.15 * counts[language] for language in LANGUAGES)


def test_readme_baseline_of_counting_is_correct():
    languages = [language for language, _ in counting_pairs()]
    assert round(100 * languages.count("english") / len(languages)) == 29


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
def test_rain_needs_fallen_pressure_and_moist_air(first_pressure, third_pressure, third_humidity, expected):
    days = [(18, first_pressure, 65), (17, 1008, 71), (15, third_pressure, third_humidity)]
    assert generate.rains(days) is expected


def test_the_stated_rule_holds_on_every_line_of_weather():
    for (_, first_pressure, _, _, _, _, _, third_pressure, third_humidity), label in weather_rows():
        assert label == ("rain" if third_pressure < first_pressure and third_humidity >= 70 else "dry")


def test_weather_has_6000_distinct_lines():
    lines = lines_of("weather.tsv")
    assert len(lines) == 6_000
    assert len(set(lines)) == 6_000


def test_weather_labels_are_balanced():
    labels = [label for _, label in weather_rows()]
    assert 0.35 < labels.count("rain") / len(labels) < 0.65


def test_weather_pressure_changes_by_at_least_3():
    assert min(abs(values[7] - values[1]) for values, _ in weather_rows()) >= 3


def test_weather_values_are_plausible():
    for values, _ in weather_rows():
        assert all(-20 <= temperature <= 40 for temperature in values[0::3])
        assert all(960 <= pressure <= 1055 for pressure in values[1::3])
        assert all(0 <= humidity <= 100 for humidity in values[2::3])


def test_readme_baselines_of_weather_are_correct():
    rows = weather_rows()
    always_dry = sum(label == "dry" for _, label in rows)
    humid_alone = sum((values[8] >= 70) == (label == "rain") for values, label in rows)
    fell_alone = sum((values[7] < values[1]) == (label == "rain") for values, label in rows)
    assert [round(100 * right / len(rows)) for right in (always_dry, humid_alone, fell_alone)] == [62, 82, 90]


@pytest.mark.parametrize("name", [path.name for path in sorted(CORPORA.glob("*.t[sx][tv]"))])
def test_readme_states_the_size_of_each_file(name):
    readme = (CORPORA / "README.md").read_text(encoding="utf-8")
    row = next(line for line in readme.splitlines() if line.startswith(f"| `{name}`"))
    assert f"| {len(lines_of(name)):,} | {(CORPORA / name).stat().st_size:,} |" in row


def test_ferrywoman_is_a_long_ascii_ledger():
    ferrywoman = (CORPORA / "ferrywoman.txt").read_bytes()
    assert len(ferrywoman) >= 120_000
    assert ferrywoman.isascii()
    assert b"Entered in the ledger:" in ferrywoman
