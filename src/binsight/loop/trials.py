"""Which two models are compared on live photos: `challenge` and `watch`, both told by the registry's ledger.

In a `challenge` the challenger runs in the champion's shadow, to prove that it is not worse. In a `watch`, for 14 days
after a promotion, the model before runs in the shadow of the new champion, which goes back when it proves to be worse.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from binsight.loop.ledger import Entry
from binsight.loop.registry import Registry, RegistryError, aliases_of, since_rejected

__all__ = [
    "WATCH_DAYS",
    "Kind",
    "Trial",
    "begin_challenge",
    "due_trials",
    "end_trial",
    "find_challenge",
    "find_trial",
    "why_ended",
]

Kind = Literal["challenge", "watch"]
WATCH_DAYS: Final = 14
_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Trial:
    """A comparison of two models.

    Attributes:
        id: the hash of the ledger's line with which it began.
        kind: what it is to show: `challenge`, that the new model is not worse; `watch`, that it is.
        old: the champion, or the one before; the SHA-256 of its file.
        new: the challenger, or the new champion.
        began: when.
        share: of photos, that both see.
    """

    id: str
    kind: Kind
    old: str
    new: str
    began: str
    share: float = 1.0

    @property
    def shadow(self) -> str:
        """The model that nobody gets answers of."""
        return self.new if self.kind == "challenge" else self.old

    @property
    def served(self) -> str:
        """The model that answers."""
        return self.old if self.kind == "challenge" else self.new


def due_trials(entries: Sequence[Entry], now: datetime) -> list[Trial]:
    """The comparisons that a server of the registry runs now; at most one of each kind."""
    aliases, found = aliases_of(entries), []
    if aliases.champion is not None:
        found.append(_watch(entries, aliases.champion, aliases.previous, now))
        if aliases.challenger is not None and (trial := find_challenge(entries, aliases.challenger, aliases.champion)):
            found.append(trial if _is_on(entries, "challenge", trial.old, trial.new) else None)
    return [trial for trial in found if trial is not None]


def find_challenge(entries: Sequence[Entry], challenger: str, champion: str) -> Trial | None:
    """The shadow of a challenger beside a champion, whether it goes on or not; None: there was none.

    A pair has one for all times, so that nobody begins anew until luck helps; only after the model was champion, and
    was rolled back, its evidence is worth nothing any more.
    """
    lines = _lines(since_rejected(entries, challenger), "challenge", champion, challenger)
    begins = [line for line in lines if line.details["state"] == "on"]
    if not begins:
        return None
    first, last = begins[0], begins[-1]
    return Trial(first.sha256, "challenge", champion, challenger, first.at, float(last.details["share"]))


def begin_challenge(registry: Registry, *, by: str, share: float | None = None) -> Trial:
    """Let the challenger run in the shadow; without a share one that was begun, or stopped, stays as it is.

    Args:
        registry: whose ledger says so.
        by: who.
        share: of photos, in (0, 1].

    Raises:
        RegistryError: there is no challenger.
        OutputError: the ledger cannot be written.
    """
    with registry.ledger.writing():
        entries = registry.ledger.read()
        aliases = aliases_of(entries)
        if aliases.champion is None or aliases.challenger is None:
            raise RegistryError("the registry has no challenger; `binsight registry add` makes a model one")
        pair = aliases.champion, aliases.challenger
        found = find_challenge(entries, pair[1], pair[0])
        is_same = found is not None and found.share == share and _is_on(entries, "challenge", *pair)
        if found is None or (share is not None and not is_same):
            _record(registry, "challenge", *pair, state="on", by=by, share=share or 1.0)
            found = find_challenge(registry.ledger.read(), pair[1], pair[0])
        assert found is not None  # noqa: S101 - its line was just written
        return found


def end_trial(registry: Registry, trial: Trial, *, by: str, reason: str = "") -> None:
    """Stop a comparison, unless somebody has done it meanwhile.

    Raises:
        OutputError: the ledger cannot be written.
    """
    with registry.ledger.writing():
        if trial.id in {due.id for due in due_trials(registry.ledger.read(), registry.ledger.now())}:
            _record(registry, trial.kind, trial.old, trial.new, state="off", by=by, reason=reason[:_SHOWN])


def find_trial(entries: Sequence[Entry], number: str) -> Trial | None:
    """The comparison that began with the line of this hash; None: there is no such line."""
    for e in entries:
        if e.sha256 == number and e.event == "promote":
            return Trial(number, "watch", e.details["aliases"]["previous"], e.details["model"], e.at)
        if e.sha256 == number and e.event == "shadow":
            return Trial(number, "challenge", e.details["against"], e.details["model"], e.at)
    return None


def why_ended(entries: Sequence[Entry], trial: Trial) -> str:
    """Why a comparison is due no longer, in words."""
    lines = _lines(entries, trial.kind, trial.old, trial.new)
    if lines and lines[-1].details["state"] == "off":
        return str(lines[-1].details["reason"])
    aliases = aliases_of(entries)
    if trial.kind == "challenge":
        if aliases.champion == trial.new:
            return "promoted"
        return "another challenger" if aliases.champion == trial.old else "another champion"
    if aliases.champion == trial.new:
        return f"{WATCH_DAYS} days are over"
    last = [entry for entry in entries if entry.event in {"promote", "rollback"}][-1]
    return "another champion" if last.event == "promote" else str(last.details["reason"] or "rolled back")


def _record(registry: Registry, kind: Kind, old: str, new: str, **details: Any) -> None:
    registry.ledger.append("shadow", kind=kind, model=new, against=old, **details)


def _watch(entries: Sequence[Entry], champion: str, previous: str | None, now: datetime) -> Trial | None:
    changes = [entry for entry in entries if entry.event in {"promote", "rollback"}]
    if previous is None or not changes or changes[-1].event != "promote":
        return None
    begin = changes[-1]
    later = entries[entries.index(begin) :]
    if now - datetime.fromisoformat(begin.at) >= timedelta(days=WATCH_DAYS):
        return None
    is_off = any(line.details["state"] == "off" for line in _lines(later, "watch", previous, champion))
    return None if is_off else Trial(begin.sha256, "watch", previous, champion, begin.at)


def _is_on(entries: Sequence[Entry], kind: Kind, old: str, new: str) -> bool:
    return bool(_lines(entries, kind, old, new)[-1].details["state"] == "on")


def _lines(entries: Sequence[Entry], kind: Kind, old: str, new: str) -> list[Entry]:
    wanted = kind, new, old
    shadows = [entry for entry in entries if entry.event == "shadow"]
    return [e for e in shadows if (e.details["kind"], e.details["model"], e.details["against"]) == wanted]
