"""How the labelling stands, and what it says: progress, agreement, live accuracy, whose corrections are right."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass

from binsight.loop.accuracy import LabelledPhoto, LiveAccuracy, estimate_accuracy
from binsight.loop.agreement import Agreement, measure_agreement
from binsight.loop.comparing import MARGIN, Comparison
from binsight.loop.counts import Counts, FeatureDrift
from binsight.loop.evidence import PROVEN, ROLL_BACK
from binsight.loop.gate import missing_live
from binsight.loop.grid import shown_in_grids
from binsight.loop.queue import Queue
from binsight.loop.trials import Trial
from binsight.loop.votes import LABELS, OTHERS, UNCLEAR, read_photos

__all__ = [
    "ClientClaims",
    "ComparisonStatus",
    "Status",
    "count_claims",
    "live_accuracy",
    "read_comparisons",
    "read_status",
]

_MOST_COMPARISONS = 20


@dataclass(frozen=True, slots=True)
class ComparisonStatus:
    """How a comparison of two models on live photos stands.

    Attributes:
        kind: `challenge`, whether a challenger is not worse; `watch`, whether a new champion is worse.
        old: the champion, or the one before: name, version, and the beginning of its hash.
        new: the challenger, or the new champion.
        began: when.
        ended: when; None: it goes on.
        outcome: why it has ended.
        photos: that both have seen.
        counted: of these, up to the oldest unlabelled one on which they differ.
        differ: on which they name different classes.
        open: of these, without a settled label.
        only_old_right: among the counted.
        only_new_right: the same.
        agreement: share of the last 200 photos on which they agree; None: there are fewer.
        evidence: of what the kind asks.
        needed: the evidence that proves it.
        photos_more: that would probably prove it, were both equally good; None: nothing is to be proven.
        labels_more: how many of these a person would have to label.
    """

    kind: str
    old: str
    new: str
    began: str
    ended: str | None
    outcome: str
    photos: int
    counted: int
    differ: int
    open: int
    only_old_right: int
    only_new_right: int
    agreement: float | None
    evidence: float
    needed: float
    photos_more: int | None
    labels_more: int | None


@dataclass(frozen=True, slots=True)
class Status:
    """How far labelling is.

    Attributes:
        kept: photos in the queue.
        set_aside: further ones, which may be taken for being unlike the others.
        open: that need a label still.
        labelled: that have a settled one.
        undecided: on which people differ, so that a third must look.
        by_reason: random, review, correction, disagreement → open photos.
        labelled_by_reason: the same → photos that have a settled label.
        labellers: who → labels.
        gold: who → right ones of the hidden checks, and how many there were.
        agreement: between two people.
        comparisons: of models on live photos: first those that go on, then the newest.
        looks: whether photos look as they used to, when it was asked last; one for each model, the latest first.
    """

    kept: int
    set_aside: int
    open: int
    labelled: int
    undecided: int
    by_reason: dict[str, int]
    labelled_by_reason: dict[str, int]
    labellers: dict[str, int]
    gold: dict[str, tuple[int, int]]
    agreement: Agreement
    comparisons: list[ComparisonStatus]
    looks: list[FeatureDrift]


def read_status(queue: Queue) -> Status:
    """How far the labelling of a queue is."""
    with queue.reading() as rows:
        photos = read_photos(rows)
        labels = rows.execute(LABELS).fetchall()
        aside = rows.execute("SELECT COUNT(*) FROM candidates").fetchone()[0]
    truths = {p.id: p.truth for p in photos}
    gold: dict[str, tuple[int, int]] = {}
    for row in labels:
        if row["is_gold"] and truths.get(row["item"]) is not None:
            right, total = gold.get(row["labeller"], (0, 0))
            gold[row["labeller"]] = right + (row["answer"] == truths[row["item"]]), total + 1
    still = [p for p in photos if p.needed > 0]
    pairs = [(answers[0], answers[1]) for p in photos if len(answers := list(p.votes.values())) >= 2]
    return Status(
        kept=len(photos),
        set_aside=aside,
        open=len(still),
        labelled=sum(p.truth is not None for p in photos),
        undecided=sum(len(p.votes) >= 2 and p.truth is None for p in photos),
        by_reason=dict(Counter(reason for p in still for reason in p.reasons)),
        labelled_by_reason=dict(Counter(reason for p in photos if p.truth is not None for reason in p.reasons)),
        labellers=dict(Counter(row["labeller"] for row in labels)),
        gold=gold,
        agreement=measure_agreement(pairs),
        comparisons=read_comparisons(queue),
        looks=Counts(queue.directory).looks(),
    )


def read_comparisons(queue: Queue) -> list[ComparisonStatus]:
    """How comparisons of models stand: first those that go on, then the newest."""
    with queue.reading() as rows:
        query = "SELECT * FROM trials ORDER BY ended IS NOT NULL, began DESC, kind DESC LIMIT ?"
        trials = rows.execute(query, (_MOST_COMPARISONS,)).fetchall()
    return [_compare(queue, trial) for trial in trials]


def _compare(queue: Queue, row: sqlite3.Row) -> ComparisonStatus:
    found = Comparison(queue, Trial(*(row[key] for key in ("id", "kind", "old", "new", "began")))).standing()
    is_challenge = row["kind"] == "challenge"
    photos, labels = missing_live(found.counts, MARGIN) if is_challenge else (None, None)
    return ComparisonStatus(
        **{key: row[key] for key in ("kind", "old", "new", "began", "ended", "outcome")},
        **{key: getattr(found, key) for key in ("photos", "differ", "open", "agreement")},
        counted=found.counts.n,
        only_old_right=found.counts.b,
        only_new_right=found.counts.c,
        evidence=found.evidence if is_challenge else found.harm,
        needed=PROVEN if is_challenge else ROLL_BACK,
        photos_more=photos,
        labels_more=labels,
    )


def live_accuracy(queue: Queue, counts: Counts, model: str) -> LiveAccuracy:
    """How good a model is on live photos, by the labels of those drawn at random or to review; claims do not count.

    A photo of no class, or of several things, is right where it was sent to review; unclear ones do not count, nor does
    what was in a grid.

    Args:
        queue: with the labels.
        counts: of all photos.
        model: name and version.
    """
    with queue.reading() as rows:
        photos, in_grids = read_photos(rows), shown_in_grids(rows)
    found = []
    for p in photos:
        counts_for_it = p.model == model and p.chance > 0 and p.id not in in_grids
        if counts_for_it and p.truth is not None and p.truth != UNCLEAR:
            is_other = p.truth in OTHERS
            right = p.stratum.decision == "review" if is_other else p.truth == p.stratum.category
            found.append(LabelledPhoto(p.stratum, p.chance, right, p.truth))
    return estimate_accuracy(counts.of_model(model), found)


@dataclass(frozen=True, slots=True)
class ClientClaims:
    """What became of one client's corrections.

    Attributes:
        client: the pseudonym.
        claims: photos.
        settled: that people have looked at.
        right: of these, where they agree with the client.
    """

    client: str
    claims: int
    settled: int
    right: int


def count_claims(queue: Queue) -> list[ClientClaims]:
    """The clients whose corrections are in a queue, those with the most first."""
    with queue.reading() as rows:
        truths = {p.id: p.truth for p in read_photos(rows)}
        said = rows.execute("SELECT client, item, corrected FROM claims WHERE NOT withdrawn ORDER BY id").fetchall()
    by_client: dict[str, dict[str, str]] = {}
    for row in said:
        by_client.setdefault(row["client"], {})[row["item"]] = row["corrected"]
    found = []
    for client, own in by_client.items():
        settled = {item: word for item, word in own.items() if truths.get(item) is not None}
        right = sum(truths[item] == word for item, word in settled.items())
        found.append(ClientClaims(client, len(own), len(settled), right))
    return sorted(found, key=lambda each: (-each.claims, each.client))
