"""Writes the generated corpora next to itself: numbers.tsv, counting.tsv, weather.tsv and namaskar.txt.

    python corpora/generate.py

The same bytes come out on every Python >= 3.10: the only source of chance is `random.Random(seed).random()`, and integers,
draws and the shuffle are built from it here, because `randint`, `shuffle` and `sample` may change between versions.

The weather follows one rule with no exceptions: it rains on the fourth day when the pressure fell from the first day to the
third AND the humidity of the third day is at least 70. A model that has learnt the rule is right 100 % of the time.

Not here: places.txt and ferrywoman.txt, which were written by hand; how a number is spelled (spelling.py). No part of charlm
imports this file.
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
COUNTING_MOST = 9_999  # numbers are drawn from 1..9,999
COUNTING_LANGUAGES = (  # unequal, so that how frequent a language is tells something too
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
LEAST_PRESSURE_CHANGE = 3  # hPa from the first day to the third: a fall to be seen, not a flicker

# Month by month in a temperate northern climate: integers in tables, because sines differ in the last bit between machines.
MONTH_TEMPERATURE = (2, 3, 6, 10, 14, 17, 19, 19, 15, 11, 6, 3)  # °C
MONTH_HUMIDITY = (78, 76, 72, 68, 66, 66, 66, 67, 71, 75, 78, 79)  # %

Day = tuple[int, int, int]  # temperature °C, pressure hPa, humidity %


def rains(days: Sequence[Day]) -> bool:
    """Whether it rains on the day after these three, oldest first: pressure fell from first to third, third humid enough."""
    _, first_pressure, _ = days[0]
    _, third_pressure, third_humidity = days[2]
    return third_pressure < first_pressure and third_humidity >= RAIN_HUMIDITY


def namaskar() -> list[str]:
    """The lines of namaskar.txt."""
    return ["namaskar"] * NAMASKAR_LINES


def numbers() -> list[str]:
    """The lines of numbers.tsv, number<TAB>words: 0..999 and log-uniform larger numbers, all distinct, shuffled."""
    chance = random.Random(NUMBERS_SEED)
    chosen = list(range(SMALL_NUMBERS))
    seen = set(chosen)
    while len(chosen) < SMALL_NUMBERS + LARGE_NUMBERS:
        # Log-uniform in 1,000..999,999. Powers may differ in the last bit between machines; with this seed no draw is within
        # a hundred-thousandth of a whole number, so the integers do not.
        number = int(1_000 * 1_000 ** chance.random())
        if number not in seen:
            seen.add(number)
            chosen.append(number)
    _shuffle(chosen, chance)
    return [f"{number}\t{english(number)}" for number in chosen]


def counting() -> list[str]:
    """The lines of counting.tsv, language<TAB>words: distinct numbers, drawn anew for each language, all shuffled."""
    chance = random.Random(COUNTING_SEED)
    lines = []
    for spelled, count in COUNTING_LANGUAGES:
        drawn = list(range(1, COUNTING_MOST + 1))
        _shuffle(drawn, chance)
        lines += [f"{spelled.__name__}\t{spelled(number)}" for number in drawn[:count]]
    _shuffle(lines, chance)
    return lines


def weather() -> list[str]:
    """The lines of weather.tsv, `T P H | T P H | T P H`<TAB>rain or dry, no line twice."""
    chance = random.Random(WEATHER_SEED)
    lines: dict[str, None] = {}  # a set that keeps the order of arrival
    while len(lines) < WEATHER_LINES:
        days = _three_days(chance)
        if abs(days[2][1] - days[0][1]) < LEAST_PRESSURE_CHANGE:
            continue
        source = " | ".join(f"{temperature} {pressure} {humidity}" for temperature, pressure, humidity in days)
        lines[f"{source}\t{'rain' if rains(days) else 'dry'}"] = None
    return list(lines)


def _three_days(chance: random.Random) -> list[Day]:
    """Three days in a row of a random month: each a small step from the day before."""
    month = _below(12, chance)
    temperature = MONTH_TEMPERATURE[month] + _swing(8, chance)
    pressure = 1013 + _swing(22, chance)
    humidity = MONTH_HUMIDITY[month] + _swing(16, chance)
    trend = _swing(6, chance)  # hPa a day: highs and lows take longer than three days to pass
    days = [(temperature, pressure, _percent(humidity))]
    for _ in range(2):
        step = trend + _swing(5, chance)
        temperature += _swing(4, chance)
        pressure += step
        humidity += _swing(9, chance) - step  # falling pressure brings moist air
        days.append((temperature, pressure, _percent(humidity)))
    return days


def _percent(humidity: int) -> int:
    """Humidity kept within what a hygrometer outdoors shows: 120 -> 100."""
    return max(25, min(100, humidity))


def _swing(size: int, chance: random.Random) -> int:
    """An integer in -size..size, the middle likelier than the ends: the mean of two even draws."""
    return _below(size + 1, chance) + _below(size + 1, chance) - size


def _below(count: int, chance: random.Random) -> int:
    """An integer in 0..count-1, all equally likely."""
    return int(count * chance.random())


def _shuffle(items: list[Any], chance: random.Random) -> None:
    """Puts the items into random order in place (Fisher & Yates 1938, in Durstenfeld's form of 1964)."""
    for last in range(len(items) - 1, 0, -1):
        other = _below(last + 1, chance)
        items[last], items[other] = items[other], items[last]


def _write(name: str, lines: list[str]) -> None:
    """Writes the lines with \\n ends on every system."""
    (FOLDER / name).write_bytes("".join(f"{line}\n" for line in lines).encode("utf-8"))


def main() -> None:
    """Writes the four files next to this one."""
    _write("namaskar.txt", namaskar())
    _write("numbers.tsv", numbers())
    _write("counting.tsv", counting())
    _write("weather.tsv", weather())


if __name__ == "__main__":
    main()
