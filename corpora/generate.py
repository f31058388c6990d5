"""Generate numbers.tsv, counting.tsv, weather.tsv and namaskar.txt in the directory of this file.

    python corpora/generate.py

The output is the same on every Python >= 3.10: the only source of randomness is `random.Random(seed).random()`.
Integers, samples and the shuffle are derived from it here, because `randint`, `sample` and `shuffle` may change between
versions.

The weather follows one rule without exceptions: it rains on the fourth day if the pressure fell from the first day to
the third AND the humidity of the third day is at least 70. A model that has learned the rule is always right.

Not here: places.txt and ferrywoman.txt, which were written by hand, and the spelling of numbers (spelling.py). No part
of charlm imports this file.
"""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spelling import dutch, english, esperanto, german, spanish, turkish

FOLDER = Path(__file__).resolve().parent

NAMASKAR_LINES = 64

NUMBERS_SEED = 342
SMALL_NUMBERS = 1_000  # all of 0..999
LARGE_NUMBERS = 5_000  # drawn from 1,000..999,999

COUNTING_SEED = 4_200
COUNTING_MAX = 9_999  # numbers are drawn from 1..9,999
COUNTING_LANGUAGES = (  # unequal, so that the prior carries information
    (english, 1_200),
    (german, 1_000),
    (spanish, 800),
    (dutch, 600),
    (turkish, 400),
    (esperanto, 200),
)

WEATHER_SEED = 1013
WEATHER_LINES = 6_000
RAIN_HUMIDITY = 70  # % on the third day
MIN_PRESSURE_CHANGE = 3  # hPa from the first day to the third: a clear rise or fall, not noise

# Monthly means of a temperate northern climate, as tables of integers: sines differ in the last bit between machines.
MONTH_TEMPERATURE = (2, 3, 6, 10, 14, 17, 19, 19, 15, 11, 6, 3)  # °C
MONTH_HUMIDITY = (78, 76, 72, 68, 66, 66, 66, 67, 71, 75, 78, 79)  # %

Day = tuple[int, int, int]  # temperature °C, pressure hPa, humidity %


def rains(days: Sequence[Day]) -> bool:
    """Return True if it rains on the day after these three, which are given oldest first."""
    _, first_pressure, _ = days[0]
    _, third_pressure, third_humidity = days[2]
    return third_pressure < first_pressure and third_humidity >= RAIN_HUMIDITY


def namaskar() -> list[str]:
    """Return the lines of namaskar.txt."""
    return ["namaskar"] * NAMASKAR_LINES


def numbers() -> list[str]:
    """Return the lines of numbers.tsv, number<TAB>words: 0..999 and larger log-uniform numbers, distinct, shuffled."""
    rng = random.Random(NUMBERS_SEED)
    chosen = list(range(SMALL_NUMBERS))
    seen = set(chosen)
    while len(chosen) < SMALL_NUMBERS + LARGE_NUMBERS:
        # Log-uniform in 1,000..999,999. Powers may differ in the last bit between machines, but with this seed no value
        # is within a hundred-thousandth of a whole number, so the integers agree.
        number = int(1_000 * 1_000 ** rng.random())
        if number not in seen:
            seen.add(number)
            chosen.append(number)
    _shuffle(chosen, rng)
    return [f"{number}\t{english(number)}" for number in chosen]


def counting() -> list[str]:
    """Return the lines of counting.tsv, language<TAB>words: distinct numbers for each language, all lines shuffled."""
    rng = random.Random(COUNTING_SEED)
    lines = []
    for spell, count in COUNTING_LANGUAGES:
        candidates = list(range(1, COUNTING_MAX + 1))
        _shuffle(candidates, rng)
        lines += [f"{spell.__name__}\t{spell(number)}" for number in candidates[:count]]
    _shuffle(lines, rng)
    return lines


def weather() -> list[str]:
    """Return the lines of weather.tsv, `T P H | T P H | T P H<TAB>rain` or `dry`, without duplicates."""
    rng = random.Random(WEATHER_SEED)
    lines: dict[str, None] = {}  # an ordered set
    while len(lines) < WEATHER_LINES:
        days = _three_days(rng)
        if abs(days[2][1] - days[0][1]) < MIN_PRESSURE_CHANGE:
            continue
        source = " | ".join(f"{temperature} {pressure} {humidity}" for temperature, pressure, humidity in days)
        lines[f"{source}\t{'rain' if rains(days) else 'dry'}"] = None
    return list(lines)


def _three_days(rng: random.Random) -> list[Day]:
    """Return three consecutive days of a random month, each a small step from the day before."""
    month = _below(12, rng)
    temperature = MONTH_TEMPERATURE[month] + _swing(8, rng)
    pressure = 1013 + _swing(22, rng)
    humidity = MONTH_HUMIDITY[month] + _swing(16, rng)
    trend = _swing(6, rng)  # hPa per day: highs and lows take more than three days to pass
    days = [(temperature, pressure, _percent(humidity))]
    for _ in range(2):
        step = trend + _swing(5, rng)
        temperature += _swing(4, rng)
        pressure += step
        humidity += _swing(9, rng) - step  # falling pressure brings moist air
        days.append((temperature, pressure, _percent(humidity)))
    return days


def _percent(humidity: int) -> int:
    """Clamp a humidity to 25..100 %: 120 -> 100."""
    return max(25, min(100, humidity))


def _swing(size: int, rng: random.Random) -> int:
    """Return an integer in -size..size from a triangular distribution: the sum of two uniform integers, centred."""
    return _below(size + 1, rng) + _below(size + 1, rng) - size


def _below(count: int, rng: random.Random) -> int:
    """Return a uniform integer in 0..count-1."""
    return int(count * rng.random())


def _shuffle(items: list[Any], rng: random.Random) -> None:
    """Shuffle the items in place (Fisher and Yates 1938, as an algorithm by Durstenfeld 1964)."""
    for last in range(len(items) - 1, 0, -1):
        other = _below(last + 1, rng)
        items[last], items[other] = items[other], items[last]


def _write(name: str, lines: list[str]) -> None:
    """Write the lines, ended by \\n on every system."""
    (FOLDER / name).write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))


def main() -> None:
    """Write the four files next to this one."""
    _write("namaskar.txt", namaskar())
    _write("numbers.tsv", numbers())
    _write("counting.tsv", counting())
    _write("weather.tsv", weather())


if __name__ == "__main__":
    main()
