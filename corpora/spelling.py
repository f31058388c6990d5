"""Numbers in the words of six languages, as numbers.tsv and counting.tsv write them: one public function a language.

All words are lower case with their diacritics (composed, NFC). Where a language has several correct forms, one is kept to:

- English is British: 'one hundred and one'.
- German says the 'ein' of 'einhundert' and 'eintausend', and writes every number as one word.
- Dutch counts in thousands ('duizend driehonderd', not 'dertienhonderd'), with a space after 'duizend' and no 'en' before
  the last part.
- Spanish numbers stand alone, so they end in 'uno', never in 'un'.

Not here: which numbers are drawn and how the lines are made (generate.py).
"""

# The word of a number stands at its index; nothing is said for what is not there, so index 0 is empty but in English.
ENGLISH_ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
ENGLISH_TENS = ["", "", *"twenty thirty forty fifty sixty seventy eighty ninety".split()]

GERMAN_ONES = [
    "",
    *"ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf".split(),
    *"dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn".split(),
]
GERMAN_TENS = ["", "", *"zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()]

DUTCH_ONES = [
    "",
    *"een twee drie vier vijf zes zeven acht negen tien elf twaalf".split(),
    *"dertien veertien vijftien zestien zeventien achttien negentien".split(),
]
DUTCH_TENS = ["", "", *"twintig dertig veertig vijftig zestig zeventig tachtig negentig".split()]

SPANISH_ONES = [
    "",
    *"uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince".split(),
    *"dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro".split(),
    *"veinticinco veintiséis veintisiete veintiocho veintinueve".split(),
]
SPANISH_TENS = ["", "", "", *"treinta cuarenta cincuenta sesenta setenta ochenta noventa".split()]
SPANISH_HUNDREDS = [
    "",
    *"ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos".split(),
]

TURKISH_ONES = ["", *"bir iki üç dört beş altı yedi sekiz dokuz".split()]
TURKISH_TENS = ["", *"on yirmi otuz kırk elli altmış yetmiş seksen doksan".split()]

ESPERANTO_ONES = ["", *"unu du tri kvar kvin ses sep ok naŭ".split()]


def english(number: int) -> str:
    """The British English words of a number in 0..999,999: 12345 -> 'twelve thousand three hundred and forty-five'.

    Raises ValueError for a number outside that range.
    """
    _refuse_outside(0, 999_999, number, "english")
    thousands, rest = divmod(number, 1_000)
    if thousands == 0:
        return _english_below_thousand(rest)
    if rest == 0:
        return f"{_english_below_thousand(thousands)} thousand"
    joint = " and " if rest < 100 else " "
    return f"{_english_below_thousand(thousands)} thousand{joint}{_english_below_thousand(rest)}"


def _english_below_thousand(number: int) -> str:
    """342 -> 'three hundred and forty-two'."""
    hundreds, rest = divmod(number, 100)
    if hundreds == 0:
        return _english_below_hundred(rest)
    if rest == 0:
        return f"{ENGLISH_ONES[hundreds]} hundred"
    return f"{ENGLISH_ONES[hundreds]} hundred and {_english_below_hundred(rest)}"


def _english_below_hundred(number: int) -> str:
    """42 -> 'forty-two'."""
    if number < 20:
        return ENGLISH_ONES[number]
    tens, ones = divmod(number, 10)
    return f"{ENGLISH_TENS[tens]}-{ENGLISH_ONES[ones]}" if ones else ENGLISH_TENS[tens]


def german(number: int) -> str:
    """The German word of a number in 1..9,999: 1342 -> 'eintausenddreihundertzweiundvierzig'.

    Raises ValueError for a number outside that range.
    """
    _refuse_outside(1, 9_999, number, "german")
    word = _german_inside(number)
    return f"{word}s" if word.endswith("ein") else word


def _german_inside(number: int) -> str:
    """The word as it stands before another part, where one is 'ein' and not 'eins': 101 -> 'einhundertein'."""
    if number < 20:
        return GERMAN_ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{GERMAN_ONES[ones]}und{GERMAN_TENS[tens]}" if ones else GERMAN_TENS[tens]
    unit, name = (1_000, "tausend") if number >= 1_000 else (100, "hundert")
    count, rest = divmod(number, unit)
    return f"{GERMAN_ONES[count]}{name}{_german_inside(rest)}"


def dutch(number: int) -> str:
    """The Dutch words of a number in 1..9,999: 1342 -> 'duizend driehonderdtweeënveertig'.

    Raises ValueError for a number outside that range.
    """
    _refuse_outside(1, 9_999, number, "dutch")
    thousands, below_thousand = divmod(number, 1_000)
    hundreds, below_hundred = divmod(below_thousand, 100)
    last = _multiple(DUTCH_ONES[hundreds], "honderd", hundreds) + _dutch_below_hundred(below_hundred)
    return _spaced(_multiple(DUTCH_ONES[thousands], "duizend", thousands), last)


def _dutch_below_hundred(number: int) -> str:
    """22 -> 'tweeëntwintig'."""
    if number < 20:
        return DUTCH_ONES[number]
    tens, ones = divmod(number, 10)
    if ones == 0:
        return DUTCH_TENS[tens]
    # The trema begins a new syllable where 'tweeen' and 'drieen' would run three vowels together.
    joint = "ën" if DUTCH_ONES[ones].endswith("e") else "en"
    return f"{DUTCH_ONES[ones]}{joint}{DUTCH_TENS[tens]}"


def spanish(number: int) -> str:
    """The Spanish words of a number in 1..9,999: 1342 -> 'mil trescientos cuarenta y dos'.

    Raises ValueError for a number outside that range.
    """
    _refuse_outside(1, 9_999, number, "spanish")
    thousands, below_thousand = divmod(number, 1_000)
    hundreds, below_hundred = divmod(below_thousand, 100)
    hundred = "cien" if below_thousand == 100 else SPANISH_HUNDREDS[hundreds]
    return _spaced(_multiple(f"{SPANISH_ONES[thousands]} ", "mil", thousands), hundred, _spanish_below_hundred(below_hundred))


def _spanish_below_hundred(number: int) -> str:
    """42 -> 'cuarenta y dos'."""
    if number < 30:
        return SPANISH_ONES[number]
    tens, ones = divmod(number, 10)
    return f"{SPANISH_TENS[tens]} y {SPANISH_ONES[ones]}" if ones else SPANISH_TENS[tens]


def turkish(number: int) -> str:
    """The Turkish words of a number in 1..9,999: 1342 -> 'bin üç yüz kırk iki'.

    Raises ValueError for a number outside that range.
    """
    _refuse_outside(1, 9_999, number, "turkish")
    thousands, hundreds, tens, ones = _digits(number)
    return _spaced(
        _multiple(f"{TURKISH_ONES[thousands]} ", "bin", thousands),
        _multiple(f"{TURKISH_ONES[hundreds]} ", "yüz", hundreds),
        TURKISH_TENS[tens],
        TURKISH_ONES[ones],
    )


def esperanto(number: int) -> str:
    """The Esperanto words of a number in 1..9,999: 1342 -> 'mil tricent kvardek du'.

    Raises ValueError for a number outside that range.
    """
    _refuse_outside(1, 9_999, number, "esperanto")
    thousands, hundreds, tens, ones = _digits(number)
    return _spaced(
        _multiple(f"{ESPERANTO_ONES[thousands]} ", "mil", thousands),
        _multiple(ESPERANTO_ONES[hundreds], "cent", hundreds),
        _multiple(ESPERANTO_ONES[tens], "dek", tens),
        ESPERANTO_ONES[ones],
    )


def _multiple(prefix: str, unit: str, count: int) -> str:
    """So many of a unit, where one of it is the bare unit and none is nothing: 'tri', 'cent', 3 -> 'tricent'."""
    if count == 0:
        return ""
    return unit if count == 1 else prefix + unit


def _spaced(*parts: str) -> str:
    """The parts that are not empty, a space between: 'mil', '', 'du' -> 'mil du'."""
    return " ".join(part for part in parts if part)


def _digits(number: int) -> tuple[int, int, int, int]:
    """Thousands, hundreds, tens and ones: 342 -> (0, 3, 4, 2)."""
    return number // 1_000, number // 100 % 10, number // 10 % 10, number % 10


def _refuse_outside(least: int, most: int, number: int, language: str) -> None:
    """Raises ValueError unless least <= number <= most."""
    if not least <= number <= most:
        raise ValueError(f"{language}() knows {least}..{most}, not {number}")
