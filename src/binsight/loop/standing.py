"""How the labelling stands, and what it says: progress, agreement, live accuracy, whose corrections are right."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from binsight.loop.accuracy import LabelledPhoto, LiveAccuracy, estimate_accuracy
from binsight.loop.agreement import Agreement, measure_agreement
from binsight.loop.counts import Counts
from binsight.loop.queue import Queue
from binsight.loop.votes import LABELS, OTHERS, UNCLEAR, read_photos

__all__ = ["ClientClaims", "Status", "count_claims", "live_accuracy", "read_status"]


@dataclass(frozen=True, slots=True)
class Status:
    """How far labelling is.

    Attributes:
        kept: photos in the queue.
        open: that need a label still.
        labelled: that have a settled one.
        undecided: on which people differ, so that a third must look.
        by_reason: random, review, correction, disagreement → open photos.
        labellers: who → labels.
        gold: who → right ones of the hidden checks, and how many there were.
        agreement: between two people.
    """

    kept: int
    open: int
    labelled: int
    undecided: int
    by_reason: dict[str, int]
    labellers: dict[str, int]
    gold: dict[str, tuple[int, int]]
    agreement: Agreement


def read_status(queue: Queue) -> Status:
    """How far the labelling of a queue is."""
    with queue.reading() as rows:
        photos = read_photos(rows)
        labels = rows.execute(LABELS).fetchall()
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
        open=len(still),
        labelled=sum(p.truth is not None for p in photos),
        undecided=sum(len(p.votes) >= 2 and p.truth is None for p in photos),
        by_reason=dict(Counter(reason for p in still for reason in p.reasons)),
        labellers=dict(Counter(row["labeller"] for row in labels)),
        gold=gold,
        agreement=measure_agreement(pairs),
    )


def live_accuracy(queue: Queue, counts: Counts, model: str) -> LiveAccuracy:
    """How good a model is on live photos, by the labels of those drawn at random or to review; claims do not count.

    A photo of no class, or of several things, is right where it was sent to review; unclear ones do not count.

    Args:
        queue: with the labels.
        counts: of all photos.
        model: name and version.
    """
    with queue.reading() as rows:
        photos = read_photos(rows)
    found = []
    for p in photos:
        if p.model == model and p.chance > 0 and p.truth is not None and p.truth != UNCLEAR:
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
