"""Numbers in the words of six languages, as in numbers.tsv and counting.tsv: one public function per language.

All words are lower case with their diacritics (composed, NFC). Where a language has several correct forms, one is used
throughout:

- English is British: 'one hundred and one'.
- German has the 'ein' of 'einhundert' and 'eintausend', and writes every number as one word.
- Dutch counts in thousands ('duizend driehonderd', not 'dertienhonderd'), with a space after 'duizend' and no 'en'
  before the last part.
- Spanish numbers are used in counting, so they end in 'uno', never in 'un'.

Not here: the choice of numbers and the form of the lines (generate.py).
"""


def _words(text: str, first: int = 0) -> list[str]:
    """Split words into a list in which the first one has the index `first`: 'ten', 1 -> ['', 'ten']."""
    return [""] * first + text.split()


# The index of a word is its number; unused indices, and zero outside English, are empty strings.
ENGLISH_ONES = _words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
ENGLISH_TENS = _words("twenty thirty forty fifty sixty seventy eighty ninety", first=2)

GERMAN_ONES = _words(
    "ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf "
    "dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn",
    first=1,
)
GERMAN_TENS = _words("zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig", first=2)

DUTCH_ONES = _words(
    "een twee drie vier vijf zes zeven acht negen tien elf twaalf "
    "dertien veertien vijftien zestien zeventien achttien negentien",
    first=1,
)
DUTCH_TENS = _words("twintig dertig veertig vijftig zestig zeventig tachtig negentig", first=2)

SPANISH_ONES = _words(
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis diecisiete dieciocho diecinueve veinte veintiuno veintidós veintitrés veinticuatro "
    "veinticinco veintiséis veintisiete veintiocho veintinueve",
    first=1,
)
SPANISH_TENS = _words("treinta cuarenta cincuenta sesenta setenta ochenta noventa", first=3)
SPANISH_HUNDREDS = _words(
    "ciento doscientos trescientos cuatrocientos quinientos seiscientos setecientos ochocientos novecientos", first=1
)

TURKISH_ONES = _words("bir iki üç dört beş altı yedi sekiz dokuz", first=1)
TURKISH_TENS = _words("on yirmi otuz kırk elli altmış yetmiş seksen doksan", first=1)

ESPERANTO_ONES = _words("unu du tri kvar kvin ses sep ok naŭ", first=1)


def english(number: int) -> str:
    """Return the British English words of a number in 0..999,999: 1342 -> 'one thousand three hundred and forty-two'.

    Raises ValueError for a number outside that range.
    """
    _require_between(0, 999_999, number, "english")
    thousands, rest = divmod(number, 1_000)
    if thousands == 0:
        return _english_below_thousand(rest)
    if rest == 0:
        return f"{_english_below_thousand(thousands)} thousand"
    joiner = " and " if rest < 100 else " "
    return f"{_english_below_thousand(thousands)} thousand{joiner}{_english_below_thousand(rest)}"


def _english_below_thousand(number: int) -> str:
    """Return the words of a number below 1,000: 342 -> 'three hundred and forty-two'."""
    hundreds, rest = divmod(number, 100)
    if hundreds == 0:
        return _english_below_hundred(rest)
    if rest == 0:
        return f"{ENGLISH_ONES[hundreds]} hundred"
    return f"{ENGLISH_ONES[hundreds]} hundred and {_english_below_hundred(rest)}"


def _english_below_hundred(number: int) -> str:
    """Return the words of a number below 100: 42 -> 'forty-two'."""
    if number < 20:
        return ENGLISH_ONES[number]
    tens, ones = divmod(number, 10)
    return f"{ENGLISH_TENS[tens]}-{ENGLISH_ONES[ones]}" if ones else ENGLISH_TENS[tens]


def german(number: int) -> str:
    """Return the German word of a number in 1..9,999: 1342 -> 'eintausenddreihundertzweiundvierzig'.

    Raises ValueError for a number outside that range.
    """
    _require_between(1, 9_999, number, "german")
    word = _german_prefix(number)
    return f"{word}s" if word.endswith("ein") else word


def _german_prefix(number: int) -> str:
    """Return a number's form before another part, where one is 'ein' and not 'eins': 101 -> 'einhundertein'."""
    if number < 20:
        return GERMAN_ONES[number]
    if number < 100:
        tens, ones = divmod(number, 10)
        return f"{GERMAN_ONES[ones]}und{GERMAN_TENS[tens]}" if ones else GERMAN_TENS[tens]
    unit, name = (1_000, "tausend") if number >= 1_000 else (100, "hundert")
    count, rest = divmod(number, unit)
    return f"{GERMAN_ONES[count]}{name}{_german_prefix(rest)}"


def dutch(number: int) -> str:
    """Return the Dutch words of a number in 1..9,999: 1342 -> 'duizend driehonderdtweeënveertig'.

    Raises ValueError for a number outside that range.
    """
    _require_between(1, 9_999, number, "dutch")
    thousands, below_thousand = divmod(number, 1_000)
    hundreds, below_hundred = divmod(below_thousand, 100)
    last = _multiple(DUTCH_ONES[hundreds], "honderd", hundreds) + _dutch_below_hundred(below_hundred)
    return _spaced(_multiple(DUTCH_ONES[thousands], "duizend", thousands), last)


def _dutch_below_hundred(number: int) -> str:
    """Return the words of a number below 100: 22 -> 'tweeëntwintig'."""
    if number < 20:
        return DUTCH_ONES[number]
    tens, ones = divmod(number, 10)
    if ones == 0:
        return DUTCH_TENS[tens]
    # The trema starts a new syllable: 'tweeen' and 'drieen' would run three vowels together.
    joiner = "ën" if DUTCH_ONES[ones].endswith("e") else "en"
    return f"{DUTCH_ONES[ones]}{joiner}{DUTCH_TENS[tens]}"


def spanish(number: int) -> str:
    """Return the Spanish words of a number in 1..9,999: 1342 -> 'mil trescientos cuarenta y dos'.

    Raises ValueError for a number outside that range.
    """
    _require_between(1, 9_999, number, "spanish")
    thousands, below_thousand = divmod(number, 1_000)
    hundreds, below_hundred = divmod(below_thousand, 100)
    hundred = "cien" if below_thousand == 100 else SPANISH_HUNDREDS[hundreds]
    thousand = _multiple(f"{SPANISH_ONES[thousands]} ", "mil", thousands)
    return _spaced(thousand, hundred, _spanish_below_hundred(below_hundred))


def _spanish_below_hundred(number: int) -> str:
    """Return the words of a number below 100: 42 -> 'cuarenta y dos'."""
    if number < 30:
        return SPANISH_ONES[number]
    tens, ones = divmod(number, 10)
    return f"{SPANISH_TENS[tens]} y {SPANISH_ONES[ones]}" if ones else SPANISH_TENS[tens]


def turkish(number: int) -> str:
    """Return the Turkish words of a number in 1..9,999: 1342 -> 'bin üç yüz kırk iki'.

    Raises ValueError for a number outside that range.
    """
    _require_between(1, 9_999, number, "turkish")
    thousands, hundreds, tens, ones = _digits(number)
    return _spaced(
        _multiple(f"{TURKISH_ONES[thousands]} ", "bin", thousands),
        _multiple(f"{TURKISH_ONES[hundreds]} ", "yüz", hundreds),
        TURKISH_TENS[tens],
        TURKISH_ONES[ones],
    )


def esperanto(number: int) -> str:
    """Return the Esperanto words of a number in 1..9,999: 1342 -> 'mil tricent kvardek du'.

    Raises ValueError for a number outside that range.
    """
    _require_between(1, 9_999, number, "esperanto")
    thousands, hundreds, tens, ones = _digits(number)
    return _spaced(
        _multiple(f"{ESPERANTO_ONES[thousands]} ", "mil", thousands),
        _multiple(ESPERANTO_ONES[hundreds], "cent", hundreds),
        _multiple(ESPERANTO_ONES[tens], "dek", tens),
        ESPERANTO_ONES[ones],
    )


def _multiple(prefix: str, unit: str, count: int) -> str:
    """Return the words of `count` times a unit, which has no prefix if it is one: 'tri', 'cent', 3 -> 'tricent'."""
    if count == 0:
        return ""
    return unit if count == 1 else prefix + unit


def _spaced(*parts: str) -> str:
    """Join the parts that are not empty with spaces: 'mil', '', 'du' -> 'mil du'."""
    return " ".join(part for part in parts if part)


def _digits(number: int) -> tuple[int, int, int, int]:
    """Return thousands, hundreds, tens and ones: 342 -> (0, 3, 4, 2)."""
    return number // 1_000, number // 100 % 10, number // 10 % 10, number % 10


def _require_between(minimum: int, maximum: int, number: int, language: str) -> None:
    """Raise ValueError unless minimum <= number <= maximum."""
    if not minimum <= number <= maximum:
        raise ValueError(f"{language}() spells {minimum}..{maximum}, not {number}")
