"""The line's states."""

from __future__ import annotations

import pytest

from binsight.line.packml import Mode, State, StateMachine


def test_it_starts_in_execute_and_a_starved_belt_is_suspended() -> None:
    """A belt without pieces hinders nothing: the next piece is sorted."""
    machine = StateMachine()
    assert (machine.state, machine.sorts) == (State.EXECUTE, True)
    machine.starved = True
    assert (machine.state, machine.sorts) == (State.SUSPENDED, True)


def test_our_fault_holds_the_line_until_it_is_over() -> None:
    """And does not end what a person ordered."""
    machine = StateMachine()
    machine.fault = True
    assert (machine.state, machine.sorts) == (State.HELD, False)
    machine.command(3)
    machine.fault = False
    assert (machine.state, machine.sorts) == (State.STOPPED, False)


@pytest.mark.parametrize(
    ("commands", "state"),
    [
        ([3], State.STOPPED), ([3, 1], State.IDLE), ([3, 1, 2], State.EXECUTE), ([4], State.HELD),
        ([4, 5], State.EXECUTE),
        ([6], State.SUSPENDED), ([6, 7], State.EXECUTE), ([8], State.ABORTED), ([8, 9], State.STOPPED),
        ([8, 2], State.ABORTED), ([3, 2], State.STOPPED),
    ],
)  # fmt: skip
def test_commands_move_it_as_the_standard_says(commands: list[int], state: State) -> None:
    """What has no meaning in a state is refused and changes nothing."""
    machine = StateMachine()
    for number in commands:
        machine.command(number)
    assert machine.state is state


@pytest.mark.parametrize("number", [0, 10, -1, 65535])
def test_unknown_commands_are_refused(number: int) -> None:
    """No state for a number that means nothing."""
    machine = StateMachine()
    assert not machine.command(number)
    assert machine.state is State.EXECUTE


def test_only_production_sorts() -> None:
    """In maintenance the line looks and ejects nothing."""
    machine = StateMachine()
    machine.mode = Mode.MAINTENANCE
    assert not machine.sorts
