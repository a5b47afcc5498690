"""`counts.sqlite3`: how many photos each stratum had in each hour, kept or not, and whether anything has drifted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from binsight.loop.sampling import WEEK_S, Stratum
from binsight.loop.schema import VERSION
from binsight.probability.cusum import BernoulliCusum
from binsight.probability.mmd import Shift
from binsight.sqlite import read_only, transaction

__all__ = ["ALPHA", "Counts", "Drift", "FeatureDrift", "Seen", "hour_of"]

ALPHA: Final = 0.01
"""A week is strange below this p; two weeks one after the other are a notice: by chance once in about 190 years."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counts (
    model TEXT NOT NULL, decision TEXT NOT NULL, category TEXT NOT NULL, hour TEXT NOT NULL, photos INTEGER NOT NULL,
    PRIMARY KEY (model, decision, category, hour)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS drift (model TEXT PRIMARY KEY, watch TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS looks (model TEXT PRIMARY KEY, at TEXT NOT NULL, found TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken (source TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """One live photo, kept or not.

    Attributes:
        model: name and version of what classified it.
        stratum: what it said.
        at: when.
    """

    model: str
    stratum: Stratum
    at: datetime


@dataclass(frozen=True, slots=True)
class Drift:
    """The watch over the share sent to review.

    Attributes:
        model: name and version.
        p0: the share that counts as usual: the upper 90 % bound over the first 1,000 photos; None: still learning it.
        sum: the cumulative sum; 8 is an alarm.
        drifted: whether the share has risen.
    """

    model: str
    p0: float | None
    sum: float
    drifted: bool


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """Whether live photos look to a model as they used to.

    Attributes:
        model: name and version.
        at: when they were compared, UTC.
        before: photos of the time before the two last weeks.
        weeks: of the last week and of the one before it: the photos, and the shift; None: too few photos.
    """

    model: str
    at: str
    before: int
    weeks: tuple[tuple[int, Shift | None], ...]

    @property
    def noticed(self) -> bool:
        """Both weeks are strange."""
        return all(shift is not None and shift.p < ALPHA for _, shift in self.weeks)


def hour_of(moment: datetime) -> str:
    """The hour of a moment, UTC, as the counts have it: `YYYY-MM-DDThh`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H")


class Counts:
    """The counts in a loop's folder; threads and programs may share them."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "counts.sqlite3"

    def add(self, seen: Sequence[Seen], *, taken: tuple[str, int] | None = None) -> None:
        """Count photos, in the order in which they came; all or none.

        Args:
            seen: the photos.
            taken: a source that numbers its photos, and the number of the last of these.

        Raises:
            OutputError: they cannot be written.
        """
        with transaction(self._path, _SCHEMA, VERSION) as found:
            for each in seen:
                found.execute(
                    "INSERT INTO counts VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET photos = photos + 1",
                    (each.model, *each.stratum, hour_of(each.at)),
                )
            for model in {each.model for each in seen}:
                row = found.execute("SELECT watch FROM drift WHERE model = ?", (model,)).fetchone()
                cusum = BernoulliCusum()
                if row:
                    cusum.restore(json.loads(row["watch"]))
                for each in seen:
                    if each.model == model:
                        cusum.add(each.stratum.decision == "review")
                found.execute("INSERT OR REPLACE INTO drift VALUES (?, ?)", (model, json.dumps(cusum.state())))
            if taken is not None:
                found.execute("INSERT OR REPLACE INTO taken VALUES (?, ?)", taken)

    def last_taken(self, source: str) -> int:
        """The number of the last photo that was counted of a source; 0 where there is none."""
        with transaction(self._path, _SCHEMA, VERSION) as found:
            row = found.execute("SELECT number FROM taken WHERE source = ?", (source,)).fetchone()
        return int(row["number"]) if row else 0

    def last_week(self, now: datetime) -> tuple[dict[Stratum, int], datetime | None]:
        """Photos of each stratum in the last week, over all models, and when the first of them came."""
        if not self._path.is_file():
            return {}, None
        since = hour_of(datetime.fromtimestamp(now.timestamp() - WEEK_S, UTC))
        query = "SELECT decision, category, SUM(photos) n, MIN(hour) h FROM counts WHERE hour >= ? GROUP BY 1, 2"
        with read_only(self._path) as found:
            rows = found.execute(query, (since,)).fetchall()
        first = min((row["h"] for row in rows), default=None)
        begin = None if first is None else datetime.strptime(first, "%Y-%m-%dT%H").replace(tzinfo=UTC)
        return {Stratum(row["decision"], row["category"]): row["n"] for row in rows}, begin

    def reviews_on(self, day: datetime) -> int:
        """Photos sent to review on a day, UTC."""
        if not self._path.is_file():
            return 0
        query = "SELECT COALESCE(SUM(photos), 0) FROM counts WHERE decision = 'review' AND hour LIKE ?"
        with read_only(self._path) as found:
            return int(found.execute(query, (day.astimezone(UTC).strftime("%Y-%m-%d") + "%",)).fetchone()[0])

    def of_model(self, model: str) -> dict[Stratum, int]:
        """All photos of each stratum that one model classified."""
        query = "SELECT decision, category, SUM(photos) n FROM counts WHERE model = ? GROUP BY 1, 2"
        with read_only(self._path) as found:
            rows = found.execute(query, (model,)).fetchall()
        return {Stratum(row["decision"], row["category"]): row["n"] for row in rows}

    def models(self) -> list[str]:
        """The models that classified anything, the latest first."""
        with read_only(self._path) as found:
            return [row[0] for row in found.execute("SELECT model FROM counts GROUP BY 1 ORDER BY MAX(hour) DESC, 1")]

    def drift(self) -> list[Drift]:
        """The watch over each model's review rate."""
        with read_only(self._path) as found:
            rows = found.execute("SELECT model, watch FROM drift ORDER BY 1").fetchall()
        states = [(row["model"], json.loads(row["watch"])) for row in rows]
        return [Drift(model, s["p0"], s["sum"], s["drifted"]) for model, s in states]

    def keep_looks(self, found: FeatureDrift) -> None:
        """Keep the last comparison of how photos look, one for each model.

        Raises:
            OutputError: it cannot be written.
        """
        with transaction(self._path, _SCHEMA, VERSION) as rows:
            text = json.dumps([found.before, [(n, shift and asdict(shift)) for n, shift in found.weeks]])
            rows.execute("INSERT OR REPLACE INTO looks VALUES (?, ?, ?)", (found.model, found.at, text))

    def noticed(self) -> frozenset[str]:
        """The models to which photos looked strange when they were asked last; more is kept at random of theirs."""
        return frozenset(found.model for found in self.looks() if found.noticed)

    def looks(self) -> list[FeatureDrift]:
        """How photos looked to each model when it was asked last, the latest first; empty where nobody has asked."""
        if not self._path.is_file():
            return []
        with read_only(self._path) as rows:
            if not rows.execute("SELECT 1 FROM sqlite_schema WHERE name = 'looks'").fetchone():
                return []  # a file of an earlier version
            kept = rows.execute("SELECT * FROM looks ORDER BY at DESC, model").fetchall()
        found = []
        for row in kept:
            before, weeks = json.loads(row["found"])
            shifts = tuple((n, shift and Shift(**shift)) for n, shift in weeks)
            found.append(FeatureDrift(row["model"], row["at"], before, shifts))
        return found
