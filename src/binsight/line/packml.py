"""The states of a machine as packaging and sorting plants name them.

References:
    ANSI/ISA-TR88.00.02 (PackML): states, modes and commands with their numbers.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = ["ControlCommand", "Mode", "State", "StateMachine"]


class State(IntEnum):
    """PackML's states."""

    CLEARING = 1
    STOPPED = 2
    STARTING = 3
    IDLE = 4
    SUSPENDED = 5
    EXECUTE = 6
    STOPPING = 7
    ABORTING = 8
    ABORTED = 9
    HOLDING = 10
    HELD = 11
    UNHOLDING = 12
    SUSPENDING = 13
    UNSUSPENDING = 14
    RESETTING = 15
    COMPLETING = 16
    COMPLETE = 17


class Mode(IntEnum):
    """PackML's modes."""

    PRODUCTION = 1
    MAINTENANCE = 2
    MANUAL = 3


class ControlCommand(IntEnum):
    """PackML's commands."""

    RESET = 1
    START = 2
    STOP = 3
    HOLD = 4
    UNHOLD = 5
    SUSPEND = 6
    UNSUSPEND = 7
    ABORT = 8
    CLEAR = 9


# A line has nothing to wind up between two states: the acting states (Starting, Stopping …) are passed through at once.
_STOPPABLE = {State.IDLE, State.EXECUTE, State.HELD, State.SUSPENDED, State.COMPLETE}
_MOVES: dict[ControlCommand, dict[State, State]] = {
    ControlCommand.RESET: {State.STOPPED: State.IDLE, State.COMPLETE: State.IDLE},
    ControlCommand.START: {State.IDLE: State.EXECUTE},
    ControlCommand.STOP: dict.fromkeys(_STOPPABLE, State.STOPPED),
    ControlCommand.HOLD: {State.EXECUTE: State.HELD, State.SUSPENDED: State.HELD},
    ControlCommand.UNHOLD: {State.HELD: State.EXECUTE},
    ControlCommand.SUSPEND: {State.EXECUTE: State.SUSPENDED},
    ControlCommand.UNSUSPEND: {State.SUSPENDED: State.EXECUTE},
    ControlCommand.ABORT: dict.fromkeys(set(State) - {State.ABORTED}, State.ABORTED),
    ControlCommand.CLEAR: {State.ABORTED: State.STOPPED},
}


class StateMachine:
    """The line's state: what it was told, its own faults, and an empty belt.

    A fault of ours (camera, ledger) holds the line; it goes on by itself when the fault is over. A belt without pieces
    suspends it, which hinders nothing. What a person held, stopped or aborted stays so until a person says otherwise.

    Attributes:
        fault: whether the line has a fault of its own now.
        starved: whether no piece came for a while.
    """

    def __init__(self) -> None:
        self._told = State.EXECUTE
        self.fault = self.starved = False
        self.mode = Mode.PRODUCTION

    @property
    def state(self) -> State:
        """The state to publish."""
        if self._told is State.EXECUTE and self.fault:
            return State.HELD
        if self._told is State.EXECUTE and self.starved:
            return State.SUSPENDED
        return self._told

    @property
    def sorts(self) -> bool:
        """Whether pieces are commanded: in Execute, and in Suspended by starvation."""
        return self._told is State.EXECUTE and not self.fault and self.mode is Mode.PRODUCTION

    def command(self, number: int) -> bool:
        """Obey a command; False where it is unknown or has no meaning in this state."""
        try:
            target = _MOVES[ControlCommand(number)].get(self._told)
        except ValueError:
            return False
        if target is None:
            return False
        self._told = target
        return True
