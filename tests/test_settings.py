"""Settings: types, ranges, words, and what is said when they are wrong."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from binsight.errors import SettingsError
from binsight.settings import check_section, parse_text, section_faults, section_options, setting, suggest


@dataclass(frozen=True)
class Section:
    """One setting of each kind."""

    count: int = setting(3, "How many.", low=1, high=10)
    share: float = setting(0.5, "How much.", low=0.0, high=1.0, flag="share")
    is_on: bool = setting(True, "Whether.")
    word: str = setting("a", "Which.", choices=("a", "b"))
    sizes: tuple[int, ...] = setting((1, 2), "Several.", low=0)
    limit: float | None = setting(None, "None is allowed.")
    names: tuple[str, ...] | None = setting(None, "Likewise.")


OPTIONS = {option.name: option for option in section_options(Section, "part")}


def test_an_option_knows_its_type_and_names():
    """A flag is section and name, unless it was given a shorter one."""
    assert (OPTIONS["count"].kind, OPTIONS["count"].flag, OPTIONS["count"].key) == (int, "part-count", "part.count")
    assert OPTIONS["share"].flag == "share"
    assert OPTIONS["is_on"].flag == "part-is-on"
    assert (OPTIONS["sizes"].kind, OPTIONS["sizes"].is_tuple) == (int, True)
    assert (OPTIONS["limit"].kind, OPTIONS["limit"].is_optional) == (float, True)
    assert (OPTIONS["names"].kind, OPTIONS["names"].is_tuple, OPTIONS["names"].is_optional) == (str, True, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("count", 1), ("count", 10), ("share", 0.0), ("is_on", False), ("word", "b"), ("sizes", (0,)),
        ("limit", None), ("limit", -3.5), ("names", ("x", "y")),
    ],
)  # fmt: skip
def test_what_fits(name, value):
    """Nothing is wrong with it."""
    assert OPTIONS[name].check(value) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("count", 0, "part.count: expected a whole number from 1 to 10, got 0"),
        ("count", 2.0, "expected a whole number"),
        ("count", True, "expected a whole number"),
        ("count", None, "got nothing"),
        ("share", 1.5, "expected a number from 0 to 1, got 1.5"),
        ("share", float("nan"), "expected a number"),
        ("is_on", 1, "expected yes or no, got 1"),
        ("word", "c", "expected one of a, b, got 'c'"),
        ("sizes", (), r"one or more of: a whole number from 0"),
        ("sizes", (1, -1), r"got \(1, -1\)"),
        ("sizes", 1, "got 1"),
        ("names", ("",), "got"),
    ],
)
def test_what_does_not_fit(name, value, message):
    """The message names the setting, what was expected and what came."""
    assert re.search(message, OPTIONS[name].check(value))


def test_a_section_reports_all_its_faults():
    """One after another."""
    assert section_faults(Section(), "part") == []
    assert len(section_faults(Section(count=0, word="c"), "part")) == 2


def test_a_file_has_its_own_types():
    """TOML has lists for tuples, and whole numbers where a number is meant."""
    assert OPTIONS["share"].normalise(1) == 1.0
    assert isinstance(OPTIONS["share"].normalise(1), float)
    assert OPTIONS["sizes"].normalise([1, 2]) == (1, 2)
    assert OPTIONS["count"].normalise(1.5) == 1.5
    assert OPTIONS["is_on"].normalise("yes") == "yes"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "4", 4), ("share", "1e-3", 0.001), ("is_on", "no", False), ("is_on", "True", True),
        ("word", "b", "b"), ("sizes", "1, 2,3", (1, 2, 3)), ("limit", "2", 2.0), ("names", "x,y", ("x", "y")),
    ],
)  # fmt: skip
def test_values_are_written_as_text(name, text, value):
    """As on a command line."""
    assert parse_text(OPTIONS[name], text) == value


@pytest.mark.parametrize(("name", "text"), [("count", "four"), ("count", "1.5"), ("is_on", "maybe"), ("sizes", "1;2")])
def test_text_that_is_no_value(name, text):
    """The message shows the flag."""
    with pytest.raises(SettingsError, match=f"--{OPTIONS[name].flag}: expected .* got '{text}'"):
        parse_text(OPTIONS[name], text)


def test_a_near_miss_is_suggested():
    """Otherwise all that there is."""
    assert suggest("epoch", ["epochs", "rate"]) == "did you mean epochs?"
    assert suggest("zzz", ["epochs", "rate"]) == "there are epochs, rate"


@dataclass(frozen=True)
class Ranges:
    """Two numbers each."""

    size: tuple[float, float] = setting((0.5, 1.0), "From, to.", low=0.1, high=1, pair=True)


@pytest.mark.parametrize("value", [(0.9, 0.2), (0.5,), (0.2, 0.5, 0.9), (0.0, 0.5), (0.5, 2.0), 0.5, (0.5, "x"), ()])
def test_a_pair_is_two_rising_numbers(value):
    """In their bounds; equal ones will do."""
    with pytest.raises(SettingsError, match=r"part\.size: expected two rising numbers from 0\.1 to 1, got "):
        check_section(Ranges(value), "part")
    check_section(Ranges((0.5, 0.5)), "part")


def test_an_empty_list_on_the_command_line_is_refused():
    """Where no value means everything, an empty variable in a script would."""
    for text in ("", " ", ",", " , "):
        with pytest.raises(SettingsError, match="--part-names: expected text or several, separated by commas, got "):
            parse_text(OPTIONS["names"], text)
