"""The audit: a person says what the pieces drawn at random are, without seeing what the model said.

Several people may work at once. Each gets the pieces in an order of his or her own, so two rarely look at the same
one; if they do, the first label stands and the other person is told.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import ClassVar

import sqlalchemy as sa

from binsight.errors import BinsightError, TaxonomyError
from binsight.line.ledger.schema import PICTURED, lines, pieces, thumbnails
from binsight.line.records import new_ulid
from binsight.taxonomy import Taxonomy, name_key

__all__ = [
    "OTHER",
    "AlreadyLabelledError",
    "AuditItem",
    "AuditProgress",
    "Label",
    "LabelError",
    "label_piece",
    "label_pieces",
    "match_category",
    "next_for_audit",
    "read_progress",
]

OTHER = "other"  # none of the model's categories, several pieces at once, or not to be made out: wrong in every lane
_MAX_NAME = 100
_NAMED = 3  # pieces with the same fault

_DRAWN = pieces.c.audit_probability.is_not(None)
_OPEN = pieces.c.audited_at.is_(None)


class LabelError(BinsightError, ValueError):
    """A label cannot be taken; all faults are in the message."""

    code: ClassVar[str] = "label"


class AlreadyLabelledError(LabelError):
    """Somebody was faster."""

    code = "already_labelled"


@dataclass(frozen=True, slots=True)
class AuditItem:
    """What an auditor sees of a piece: nothing that tells what the model said."""

    id: str
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Label:
    """What a person said a piece is."""

    id: str
    true_category: str
    audited_by: str


@dataclass(frozen=True, slots=True)
class AuditProgress:
    """How far an audit has come.

    Attributes:
        drawn: pieces drawn at random.
        labelled: of these.
        without_picture: of those still open, how many have no picture to label them by.
        auditors: who → how many pieces.
    """

    drawn: int
    labelled: int
    without_picture: int
    auditors: dict[str, int]

    @property
    def open(self) -> int:
        """Pieces still to be labelled."""
        return self.drawn - self.labelled - self.without_picture


def match_category(name: str, taxonomy: Taxonomy) -> str:
    """The class that `name` means, or `other`.

    Raises:
        TaxonomyError: neither.
    """
    if name_key(name) == OTHER and OTHER not in taxonomy.ids:
        return OTHER
    try:
        return taxonomy.match(name)
    except TaxonomyError as error:
        raise TaxonomyError(f"{error}; or {OTHER}") from None


def next_for_audit(
    database: sa.Engine,
    line: str,
    *,
    auditor: str = "",
    count: int = 1,
    skip: Collection[str] = (),
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
) -> list[AuditItem]:
    """Pieces to be labelled, in an order that is random in time and lane, and the same for one auditor.

    Args:
        database: the ledger.
        line: its name.
        auditor: who; another one begins elsewhere.
        count: how many at most.
        skip: ids that this auditor has put off.
        since: only pieces seen then or later.
        until: only pieces seen before.
    """
    # The last 16 characters of a ULID are random. Each auditor enters their circle at another place.
    place = sa.func.substr(pieces.c.id, 11)
    digest = hashlib.sha256(auditor.encode("utf-8", "surrogateescape")).digest()
    start = new_ulid(dt.datetime.fromtimestamp(0, dt.UTC), int.from_bytes(digest[:10]))[10:]
    times = [pieces.c.seen_at >= since] if since else []
    times += [pieces.c.seen_at < until] if until else []
    query = (
        sa.select(pieces.c.id, pieces.c.thumbnail, pieces.c.seen_at)
        .where(pieces.c.line == line, _DRAWN, _OPEN, pieces.c.id.not_in(skip), pieces.c.thumbnail.is_not(None), *times)
        .order_by(place)
    )
    # Pictures are looked up for the first ones only; a few more, for one may have been lost.
    size, found = count + 10, list[AuditItem]()
    with database.connect() as connection:
        for arc in (place >= start, place < start):
            for offset in itertools.count(0, size):
                page = connection.execute(query.where(arc).limit(size).offset(offset)).all()
                at = {row.seen_at for row in page}
                kept = (thumbnails.c.key.in_([row.thumbnail for row in page]), thumbnails.c.at.in_(at))
                pictures = connection.execute(sa.select(thumbnails.c.key, thumbnails.c.jpeg).where(*kept))
                jpegs = dict(map(tuple, pictures))
                found += [AuditItem(row.id, jpegs[row.thumbnail]) for row in page if row.thumbnail in jpegs]
                if len(page) < size or len(found) >= count:
                    break
    return found[:count]


def label_piece(database: sa.Engine, label: Label, *, at: dt.datetime, taxonomy: Taxonomy) -> None:
    """Write what a person said; the same person may correct it later.

    Raises:
        LabelError: there is no such piece, it was not drawn, or the words cannot be.
        AlreadyLabelledError: somebody else has labelled it.
    """
    label_pieces(database, [label], at=at, taxonomy=taxonomy)


def label_pieces(database: sa.Engine, labels: Sequence[Label], *, at: dt.datetime, taxonomy: Taxonomy) -> int:
    """Write many labels, or none of them; how many were new or changed.

    Raises:
        LabelError: with all faults; nothing is written then.
        AlreadyLabelledError: the only faults are pieces that somebody else has labelled.
    """
    faults: list[str] = []
    named = [_checked(label, taxonomy, faults) for label in labels]
    times = Counter(label.id for label in labels)
    faults += [f"{key}: stands there {count} times" for key, count in times.items() if count > 1]
    taken: list[str] = []
    changed = 0
    # The condition is part of the UPDATE: of two people at the same time one changes a row, the other none.
    with database.connect() as connection, connection.begin() as transaction:
        for label in named:
            done, fault = _write(connection, label, at)
            changed += done
            if fault:
                (taken if "labelled by" in fault else faults).append(fault)
        if faults or taken:
            transaction.rollback()
    if faults:
        raise LabelError(_told_together(faults + taken))
    if taken:
        raise AlreadyLabelledError(_told_together(taken))
    return changed


def _told_together(faults: Sequence[str]) -> str:
    """What is wrong with many pieces alike is said once, with the first of their ids."""
    alike: dict[str, list[str]] = {}
    for key, _, text in (fault.partition(": ") for fault in faults):
        alike.setdefault(text, []).append(key)
    return "; ".join(
        f"{', '.join(keys[:_NAMED])}{f' and {len(keys) - _NAMED:,} more' if len(keys) > _NAMED else ''}: {text}"
        for text, keys in alike.items()
    )


def _checked(label: Label, taxonomy: Taxonomy, faults: list[str]) -> Label:
    category, by = label.true_category, " ".join(label.audited_by.split())
    try:
        category = match_category(category, taxonomy)
    except TaxonomyError as error:
        faults.append(f"{label.id}: {error}")
    if not by or len(by) > _MAX_NAME or not by.isprintable():
        faults.append(
            f"{label.id}: audited_by: expected a name of 1 to {_MAX_NAME} characters, got {label.audited_by!r}"
        )
    return Label(label.id, category, by)


def _write(connection: sa.Connection, label: Label, at: dt.datetime) -> tuple[int, str | None]:
    """Rows changed, and what is wrong."""
    free = sa.or_(_OPEN, pieces.c.audited_by == label.audited_by)
    same = sa.and_(pieces.c.true_category == label.true_category, pieces.c.audited_at.is_not(None))
    update = sa.update(pieces).where(pieces.c.id == label.id, _DRAWN, free, ~sa.func.coalesce(same, sa.false()))
    values = {"true_category": label.true_category, "audited_by": label.audited_by, "audited_at": at}
    if connection.execute(update.values(values)).rowcount:
        return 1, None
    columns = (pieces.c.audit_probability, pieces.c.true_category, pieces.c.audited_by)
    row = connection.execute(sa.select(*columns).where(pieces.c.id == label.id)).first()
    if row is None:
        return 0, f"{label.id}: no such piece"
    if row.audit_probability is None:
        return 0, f"{label.id}: was not drawn for the audit; its label would say nothing of the others"
    if row.true_category == label.true_category:
        return 0, None  # said already
    return 0, f"{label.id}: already labelled by {row.audited_by}"


def read_progress(
    database: sa.Engine, line: str, *, since: dt.datetime | None = None, until: dt.datetime | None = None
) -> AuditProgress:
    """How many pieces were drawn, how many are labelled, and by whom."""
    times = [pieces.c.seen_at >= since] if since else []
    times += [pieces.c.seen_at < until] if until else []
    here = (pieces.c.line == line, _DRAWN, *times)
    number = sa.func.count()
    done = sa.select(pieces.c.audited_by, number).where(*here, ~_OPEN).group_by(pieces.c.audited_by)
    left = sa.select(number).where(*here, _OPEN)
    keyed = left.where(pieces.c.thumbnail.is_not(None))
    # Of finished hours it is noted where a picture was lost; of the others each is looked for.
    picture = sa.select(thumbnails.c.key).where(PICTURED).correlate(pieces).scalar_subquery()
    lost = sa.select(number - sa.func.count(picture)).where(*here, _OPEN, pieces.c.thumbnail.is_not(None))
    with database.connect() as connection:
        auditors = {who or "?": count for who, count in connection.execute(done)}
        counted_until = connection.execute(sa.select(lines.c.counted_until).where(lines.c.name == line)).scalar()
        recent = [] if counted_until is None else [pieces.c.seen_at >= counted_until]
        opened, with_key, without = (
            connection.execute(query).scalar_one() for query in (left, keyed, lost.where(*recent))
        )
    labelled = sum(auditors.values())
    return AuditProgress(labelled + opened, labelled, opened - with_key + without, auditors)
