"""What a server keeps of the photos that it classifies, for people to label: off by default, announced where it is on.

Every photo is counted. Which are kept is drawn at once, by a hash of the pixels; encoding and writing them waits for a
moment when no photo waits to be classified, on one thread, so that answers do not.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BinsightError
from binsight.imaging import ImageLimits, encode_picture, stored_jpeg
from binsight.loop.counts import Counts, Seen
from binsight.loop.queue import Queue, UnknownPhotoError
from binsight.loop.sampling import Chances, Quotas, Stratum, draw, random_chance, review_chance
from binsight.predictor import Prediction

__all__ = ["HashedInput", "Keeper", "Kept", "Receipt", "Upload", "photo_file"]

_log = logging.getLogger("binsight.serving")
_MOST_WAITING_BYTES = 64_000_000
_MOST_RECENT = 4096
_IDLE_S = 0.05
_PATIENCE_S = 1.0  # while photos wait, one is written in this time at most
_EXPIRE_EVERY_S = 3600.0
_NOTICE_EVERY_S = 60.0  # another program may have noticed drift


Upload = bytes | NDArray[np.uint8]
"""A photo as it was sent: its file, or pixels, `(h, w, 3)` RGB."""


def photo_file(upload: Upload) -> bytes:
    """The file of a photo; of pixels as they were sent, a PNG."""
    return upload if isinstance(upload, bytes) else encode_picture(upload, "PNG", compress_level=1)


class HashedInput:
    """Makes a network's input by `prepare`, and remembers the hash of its pixels."""

    def __init__(self, prepare: Callable[[], NDArray[np.uint8]]) -> None:
        self._prepare = prepare
        self.sha256 = ""

    def __call__(self) -> NDArray[np.uint8]:
        """The input."""
        inputs = self._prepare()
        self.sha256 = hashlib.sha256(np.ascontiguousarray(inputs).data).hexdigest()
        return inputs


@dataclass(frozen=True, slots=True)
class Receipt:
    """Says that a photo is kept: its secret name, and until when at most if nobody labels it."""

    receipt: str
    until: str


@dataclass(eq=False, slots=True, weakref_slot=True)
class Kept:
    """A photo that is kept, or may turn out to be worth it.

    Attributes:
        photo: as it was sent.
        pixels: hash of the network's input.
        prediction: what the model said.
        chances: with which it was drawn.
        is_random: drawn at random.
        is_review: drawn as one to review.
        receipt: by which its sender can have it deleted.
        is_candidate: neither, but one to review that may be unlike all others.
        is_revoked: the sender has.
    """

    photo: Upload
    pixels: str
    prediction: Prediction
    chances: Chances
    is_random: bool
    is_review: bool
    receipt: str
    is_candidate: bool = False
    is_revoked: bool = False

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return len(self.photo) if isinstance(self.photo, bytes) else self.photo.nbytes


class Observer(Protocol):
    """Looks at photos a second time, later; those that are worth it are kept then."""

    def wants(self, pixels: str, bundle: Path | None) -> bool:
        """Whether it will look at this photo."""

    def offer(self, kept: Kept) -> None:
        """Take a photo."""


@dataclass(slots=True)
class _Tally:
    """What the last week brought, as far as is known here."""

    seen: dict[Stratum, int]
    begin: float
    reviews: int = 0
    day: str = ""
    new: list[Seen] = field(default_factory=list)


class Keeper:
    """Counts photos, draws those to keep, and writes them on a thread of its own.

    Args:
        is_busy: whether photos wait to be classified now.
        clock: the time of day.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(
        self,
        directory: Path,
        quotas: Quotas,
        *,
        limits: ImageLimits,
        is_busy: Callable[[], bool],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.queue = Queue(directory, create=True, now=clock)
        self.counts = Counts(directory)
        self.observer: Observer | None = None
        self.dropped = 0
        self._quotas, self._limits, self._is_busy, self._clock = quotas, limits, is_busy, clock
        self.counts.add([])  # whoever reads them finds a file
        seen, begin = self.counts.last_week(clock())
        self._tally = _Tally(dict(seen), (begin or clock()).timestamp(), self.counts.reviews_on(clock()))
        self._tally.day = clock().date().isoformat()
        self._noticed = self.counts.noticed()
        self._waiting: deque[Kept] = deque()
        self._pending: WeakValueDictionary[str, Kept] = WeakValueDictionary()  # as long as anybody has work with it
        self._recent: dict[str, Receipt] = {}
        self._bytes = 0
        self._lock, self._writing, self._changed = threading.Lock(), threading.Lock(), threading.Event()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="binsight-keeper", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Photos that are not written yet."""
        return len(self._waiting)

    def consider(
        self, photo: Upload, pixels: str, prediction: Prediction, *, may_keep: bool, bundle: Path | None = None
    ) -> Receipt | None:
        """Count a photo, and keep it if it is drawn.

        Args:
            photo: as it was sent.
            pixels: hash of the network's input.
            prediction: what the model says.
            may_keep: whether the sender allows it; it is counted all the same.
            bundle: of the model.

        Returns:
            The receipt, where it is kept, or may be when another model has looked at it.
        """
        now, stratum = self._clock(), Stratum(prediction.decision, prediction.category)
        model = f"{prediction.model_name} {prediction.model_version}"
        with self._lock:
            chances = self._count(Seen(model, stratum, now))
            is_random = draw(self.queue.key, "random", pixels, chances.random)
            is_review = draw(self.queue.key, "review", pixels, chances.review)
            if not may_keep:
                return None
            if pixels in self._recent:
                return self._recent[pixels]  # the same photo once more
            observer = self.observer if self.observer and self.observer.wants(pixels, bundle) else None
            is_drawn = is_random or is_review
            is_candidate = not is_drawn and draw(self.queue.key, "candidate", pixels, chances.review)
            if (is_drawn or is_candidate) and (self._closing or self._bytes >= _MOST_WAITING_BYTES):
                self.dropped += is_drawn
                is_drawn = is_candidate = False
            if not (is_drawn or is_candidate or observer):
                return None
            receipt = secrets.token_hex(16)  # no sign that a command line would take for an option
            until = (now + timedelta(days=self._quotas.days)).strftime("%Y-%m-%d")
            self._recent[pixels] = Receipt(receipt, until)
            if len(self._recent) > _MOST_RECENT:
                del self._recent[next(iter(self._recent))]
            own = photo if isinstance(photo, bytes) else photo.copy()  # pixels are a part of the whole request's
            flags = is_random, is_review, receipt, is_candidate
            kept = self._pending[receipt] = Kept(own, pixels, prediction, chances, *flags)
            if observer:
                observer.offer(kept)
            if is_drawn or is_candidate:
                self._waiting.append(kept)
                self._bytes += kept.size
        self._changed.set()
        return Receipt(receipt, until)

    def put(self, kept: Kept, *, is_disagreement: bool = False) -> str | None:
        """Write a photo; its id, or None where its sender has had it deleted.

        Raises:
            BinsightError: it cannot be encoded or written.
        """
        said, jpeg = kept.prediction, stored_jpeg(photo_file(kept.photo), limits=self._limits)
        with self._writing:
            if kept.is_revoked:
                return None
            return self.queue.put(
                jpeg,
                model=f"{said.model_name} {said.model_version}",
                stratum=Stratum(said.decision, said.category),
                confidence=said.confidence,
                chances=kept.chances,
                is_random=kept.is_random,
                is_review=kept.is_review,
                is_disagreement=is_disagreement,
                is_candidate=kept.is_candidate and not is_disagreement,
                receipt=kept.receipt,
            )

    def forget(self, receipt: str) -> None:
        """Delete a photo by its receipt, written or not.

        Raises:
            UnknownPhotoError: there is none.
            OutputError: it cannot be deleted.
        """
        with self._writing:  # what is not written yet will not be
            with self._lock:
                self._recent = {pixels: known for pixels, known in self._recent.items() if known.receipt != receipt}
                kept = self._pending.pop(receipt, None)
            if kept is not None:
                kept.is_revoked = True
            try:
                self.queue.forget(receipt, reason="by receipt")
            except UnknownPhotoError:
                if kept is None:
                    raise

    def close(self, timeout_s: float) -> None:
        """Write what waits, as far as the time allows."""
        self._closing = True
        self._changed.set()
        self._thread.join(timeout_s)

    def _count(self, seen: Seen) -> Chances:
        tally, day = self._tally, seen.at.date().isoformat()
        if day != tally.day:
            fresh, begin = self.counts.last_week(seen.at)
            self._tally = tally = _Tally(dict(fresh), (begin or seen.at).timestamp(), 0, day, tally.new)
        tally.new.append(seen)
        tally.seen[seen.stratum] = tally.seen.get(seen.stratum, 0) + 1
        by_review = 0.0
        if seen.stratum.decision == "review":
            tally.reviews += 1
            by_review = review_chance(tally.reviews, self._quotas.review)
        span = seen.at.timestamp() - tally.begin
        quota = self._quotas.at_random(noticed=seen.model in self._noticed)
        return Chances(random_chance(seen.stratum, tally.seen, quota, span), by_review)

    def _run(self) -> None:
        expired, noticed = -_EXPIRE_EVERY_S, time.monotonic()
        while True:
            self._changed.wait(_PATIENCE_S)
            self._changed.clear()
            is_last = self._closing
            self._write_counts()
            while self._waiting:
                self._await_room()
                with self._lock:
                    kept = self._waiting.popleft()
                    self._bytes -= kept.size
                self._write(kept)
                del kept
                self._write_counts()  # drift is seen while photos wait to be written, too
            if time.monotonic() - expired >= _EXPIRE_EVERY_S:
                expired = time.monotonic()
                self._attempt(lambda: self.queue.expire(self._quotas.days), "delete expired photos")
            if time.monotonic() - noticed >= _NOTICE_EVERY_S:
                noticed = time.monotonic()
                self._attempt(self._read_notices, "read what drift was noticed")
            if is_last:
                return

    def _read_notices(self) -> None:
        self._noticed = self.counts.noticed()

    def _await_room(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        while self._is_busy() and time.monotonic() < end and not self._closing:
            time.sleep(_IDLE_S)

    def _write(self, kept: Kept) -> None:
        if not self._attempt(lambda: self.put(kept), "keep a photo"):
            self.dropped += 1

    def _write_counts(self) -> None:
        with self._lock:
            new, self._tally.new = self._tally.new, []
        if new and not self._attempt(lambda: self.counts.add(new), "count photos"):
            with self._lock:
                self._tally.new = [*new, *self._tally.new]

    @staticmethod
    def _attempt(work: Callable[[], object], what: str) -> bool:
        """Whether it was done; what went wrong is in the log, and no photo waits for it."""
        try:
            work()
        except UnknownPhotoError:
            return True
        except BinsightError as error:
            _log.error("the loop could not %s: %s", what, error)
            return False
        return True
