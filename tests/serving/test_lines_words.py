"""The pages of a line have words for all that a line can say."""

import re
from importlib.resources import files
from typing import get_args

import pytest

from binsight.line.packml import _MOVES, State
from binsight.line.records import ACK_RESULTS, CONFIRM_RESULTS, STATUSES, EndReason
from binsight.line.sorters.register_map import FAULT_BITS
from binsight.line.vote import VoteReason

SCRIPT = (files("binsight.serving") / "static" / "lines-words.js").read_text(encoding="utf-8")


def worded(table: str) -> set[str]:
    """What one of the script's tables has words for."""
    found = re.search(rf"^const {table} = {{\n(.*?)^}};", SCRIPT, re.DOTALL | re.MULTILINE)
    assert found is not None
    return set(re.findall(r'^  (\w+): "', found[1], re.MULTILINE))


REASONS = {*get_args(EndReason), *get_args(VoteReason), *ACK_RESULTS, *CONFIRM_RESULTS} - {"accepted", "ejected"}
ALARMS = set(FAULT_BITS) - {"purity"}  # it has its lane in its name


@pytest.mark.parametrize(("table", "said"), [("ENDS", set(STATUSES)), ("REASONS", REASONS), ("ALARMS", ALARMS)])
def test_every_end_reason_and_alarm_has_words(table, said):
    """And no words are kept for what no line says."""
    assert worded(table) == said


def test_the_state_of_a_line_that_does_not_sort_is_a_reason():
    """Pieces stay on the belt with it."""
    states = {state for moves in _MOVES.values() for state in moves.values()} - {State.EXECUTE}
    assert {state.name.lower() for state in states} <= set(get_args(EndReason))
