#!/usr/bin/env python3
"""Speaks the prompts of the phone menu: assets/prompts/{en,de}/NAME.opus, of the texts in tools/prompts.toml.

Needs SVOX Pico and its voices, unpacked into DIR as tools/announcements.py says, and cargo for the encoder:

    tools/prompts.py DIR

The same texts give the same files, to the bit. How they are finished is said in assets/README.md.
"""

import array
import pathlib
import subprocess
import sys
import tempfile
import tomllib
import wave

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from announcements import RATE, finish, speak  # noqa: E402

VOICES = {"en": ("en-GB", 112), "de": ("de-DE", 115)}
ROOT = pathlib.Path(__file__).parent.parent

EN_TEENS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split()
EN_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
EN_DAYS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third twenty-fourth twenty-fifth twenty-sixth "
    "twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
).split()
EN_MONTHS = "January February March April May June July August September October November December".split()
EN_WEEKDAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
DE_UNITS = "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn achtzehn neunzehn".split()
DE_TENS = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
DE_ORDINALS = "ersten zweiten dritten vierten fünften sechsten siebten achten neunten zehnten elften zwölften".split()
DE_MONTHS = "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split()
DE_WEEKDAYS = "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split()


def english(number: int) -> str:
    if number < 20:
        return EN_TEENS[number]
    tens = EN_TENS[number // 10 - 2]
    return f"{tens}-{EN_TEENS[number % 10]}" if number % 10 else tens


def german(number: int) -> str:
    if number < 20:
        return DE_UNITS[number]
    tens, unit = DE_TENS[number // 10 - 2], number % 10
    return f"{'ein' if unit == 1 else DE_UNITS[unit]}und{tens}" if unit else tens


def german_day(day: int) -> str:
    if day <= 12:
        return DE_ORDINALS[day - 1]
    return german(day) + ("ten" if day < 20 else "sten")


def texts() -> dict[str, dict[str, str]]:
    found = tomllib.loads((ROOT / "tools/prompts.toml").read_text())
    for number in range(100):
        found[f"number-{number}"] = {"en": english(number), "de": german(number)}
    for day in range(1, 32):
        found[f"day-{day}"] = {"en": EN_DAYS[day - 1], "de": f"am {german_day(day)}"}
    for month in range(1, 13):
        found[f"month-{month}"] = {"en": EN_MONTHS[month - 1], "de": DE_MONTHS[month - 1]}
    for day in range(1, 8):
        found[f"weekday-{day}"] = {"en": f"on {EN_WEEKDAYS[day - 1]}", "de": f"am {DE_WEEKDAYS[day - 1]}"}
    return found


def main() -> None:
    pico, prompts = pathlib.Path(sys.argv[1]).resolve(), texts()
    for language, (voice, speed) in VOICES.items():
        with tempfile.TemporaryDirectory() as folder:
            spoken, target = pathlib.Path(folder), ROOT / "assets/prompts" / language
            target.mkdir(parents=True, exist_ok=True)
            for old in target.glob("*.opus"):
                old.unlink()

            def make(name: str) -> None:
                samples = finish(speak(pico, voice, f"<speed level='{speed}'>{prompts[name][language]}</speed>"))
                with wave.open(str(spoken / f"{name}.wav"), "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(RATE)
                    file.writeframes(array.array("h", samples).tobytes())

            for name in prompts:
                make(name)
            encoder = ["cargo", "run", "--quiet", "-p", "aftertone-media", "--example", "ogg_opus", "--"]
            subprocess.run([*encoder, str(spoken), str(target)], check=True, cwd=ROOT)


if __name__ == "__main__":
    main()
