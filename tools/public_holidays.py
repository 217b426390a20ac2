#!/usr/bin/env python3
"""Writes crates/rules/src/holidays.txt: the public holidays of many countries and their regions.

    python3 -m venv V && V/bin/pip install holidays==0.109 && V/bin/python tools/public_holidays.py > crates/rules/src/holidays.txt

The data is that of the Python package `holidays` (MIT licence, https://github.com/vacanza/holidays). One line a holiday:
REGION|ENGLISH|LOCAL|DATES. A region such as DE-BY has the days of its country (DE) and its own lines besides.
"""

import collections

import holidays

FIRST, LAST = 2025, 2040

# Country, the language of its names there, and the regions that have days of their own.
COUNTRIES = {
    "DE": ("de", "BB BE BW BY HB HE HH MV NI NW RP SH SL SN ST TH".split()),
    "AT": ("de", []),
    "CH": ("de", "AG AI AR BE BL BS FR GE GL GR JU LU NE NW OW SG SH SO SZ TG TI UR VD VS ZG ZH".split()),
    "LI": ("de", []),
    "LU": ("lb", []),
    "BE": ("nl", []),
    "NL": ("nl", []),
    "FR": ("fr", []),
    "IT": ("it_IT", []),
    "ES": ("es", "AN AR AS CB CE CL CM CN CT EX GA IB MC MD ML NC PV RI VC".split()),
    "PT": ("pt_PT", []),
    "GB": ("en_GB", "ENG NIR SCT WLS".split()),
    "IE": ("en_IE", []),
    "DK": ("da", []),
    "SE": ("sv", []),
    "NO": ("no", []),
    "FI": ("fi", []),
    "IS": ("is", []),
    "PL": ("pl", []),
    "CZ": ("cs", []),
    "SK": ("sk", []),
    "HU": ("hu", []),
    "SI": ("sl", []),
    "HR": ("hr", []),
    "RO": ("ro", []),
    "BG": ("bg", []),
    "GR": ("el", []),
    "EE": ("et", []),
    "LV": ("lv", []),
    "LT": ("lt", []),
    "US": ("en_US", []),
    "CA": ("en_CA", "AB BC MB NB NL NS NT NU ON PE QC SK YT".split()),
    "AU": ("en_AU", "ACT NSW NT QLD SA TAS VIC WA".split()),
    "NZ": ("en_NZ", []),
}


def days(country, region, language):
    """Names by date, several of a day apart."""
    found = holidays.country_holidays(country, subdiv=region, years=range(FIRST, LAST + 1), language=language)
    return {day: found.get_list(day) for day in sorted(found)}


def named(country, region, local):
    """(English, local) -> dates; names that the package can't pair by their place stay local in both."""
    supported = holidays.country_holidays(country).supported_languages or ()
    here = days(country, region, local if local in supported else None)
    english = days(country, region, "en_US" if "en_US" in supported else None)
    result = collections.defaultdict(list)
    for day, names in here.items():
        others = english.get(day, names)
        pairs = zip(others if len(others) == len(names) else names, names)
        for pair in pairs:
            result[tuple(name.replace("|", "/").replace("; ", " / ") for name in pair)].append(day)
    return result


def line(region, names, dates):
    return "|".join([region, *names, " ".join(day.strftime("%Y%m%d") for day in dates)])


def main():
    print(f"# Made by tools/public_holidays.py from the Python package holidays {holidays.__version__} (MIT, see holidays-LICENSE.txt). Years {FIRST} to {LAST}.")
    for country, (local, regions) in COUNTRIES.items():
        whole = named(country, None, local)
        for names, dates in sorted(whole.items(), key=lambda item: item[1]):
            print(line(country, names, dates))
        for region in regions:
            own = {}
            for names, dates in named(country, region, local).items():
                rest = [day for day in dates if day not in whole.get(names, [])]
                if rest:
                    own[names] = rest
            for names, dates in sorted(own.items(), key=lambda item: item[1]):
                print(line(f"{country}-{region}", names, dates))


main()
