"""Runs models in the shadow of the one that answers, and takes a new champion back that proves to be worse.

One thread of the lowest priority looks at photos that were answered, only while none waits or is in work; what does not
fit into its queue is dropped and counted. Another, of usual priority so that a busy server cannot hold it up, follows
the registry and decides. Nothing that happens on them reaches an answer.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from binsight.errors import BinsightError, BundleError
from binsight.imaging import ImageLimits
from binsight.loop.comparing import Comparison, find_reason
from binsight.loop.ledger import Entry
from binsight.loop.registry import Registry, aliases_of
from binsight.loop.trials import Trial, begin_challenge, due_trials, end_trial, find_challenge, find_trial, why_ended
from binsight.serving.keeping import Keeper, Kept
from binsight.serving.memory import release_memory
from binsight.serving.models import LoadedModel, ReloadBusyError
from binsight.serving.photo_queue import PhotoQueue
from binsight.serving.shadow_run import Result, ShadowRun

__all__ = ["Controls", "Shadow"]

_log = logging.getLogger("binsight.serving")
_LOOK_EVERY_S: Final = 2.0
_RETRY_S: Final = 60.0
_MOST_WAITING, _MOST_WAITING_BYTES = 64, 32_000_000
_LOWEST: Final = 19
_BY: Final = "server"


@dataclass(frozen=True, slots=True)
class Controls:
    """What the shadow asks of the server.

    Attributes:
        served: the registry's model that answers now.
        reload: serve the registry's champion.
        roll_back: go back for a reason, if the model of this SHA-256 is the champion still.
    """

    served: Callable[[], LoadedModel]
    reload: Callable[[], object]
    roll_back: Callable[[str, str], object]


class Shadow:
    """The models in the shadow of a registry's champion.

    Args:
        registry: says which models are compared.
        keeper: offers photos, and keeps those on which two models differ.
        queue: of the photos that are answered.
        controls: of the server.
        limits: of photos.
    """

    def __init__(
        self, registry: Registry, keeper: Keeper, queue: PhotoQueue, controls: Controls, *, limits: ImageLimits
    ) -> None:
        self.registry, self.keeper, self._queue = registry, keeper, queue
        self._controls, self._limits = controls, limits
        self.results: Counter[Result] = Counter()
        self.runs: tuple[ShadowRun, ...] = ()
        self.refused: dict[str, str] = {}
        self._waiting: deque[Kept] = deque()
        self._entries: list[Entry] = []
        self._read: object = None
        self._fault: tuple[str, str] | None = None
        self._said, self._retry_at = "", 0.0
        self._looking, self._counting = threading.RLock(), threading.Lock()
        self._offered, self._asked = threading.Event(), threading.Event()
        self._closing = False
        self._threads = [
            threading.Thread(target=self._work, name="binsight-shadow", daemon=True),
            threading.Thread(target=self._watch, name="binsight-shadow-watch", daemon=True),
        ]

    def start(self) -> None:
        """Begin, when the models that answer are there."""
        self.keeper.observer = self
        for thread in self._threads:
            thread.start()

    def close(self, timeout_s: float) -> None:
        """End; photos that wait are let go, what was seen is written."""
        self._closing = True
        self._offered.set()
        self._asked.set()
        end = time.monotonic() + timeout_s
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - time.monotonic()))

    @property
    def waiting(self) -> int:
        """Photos that it has not looked at yet."""
        return len(self._waiting)

    def wants(self, pixels: str, bundle: Path | None) -> bool:
        """Whether a photo that was answered from a bundle is in the share of a model; one without room is dropped."""
        runs = [run for run in self.runs if bundle is not None and run.trial.served == bundle.stem]
        if not any(run.takes(self.keeper.queue, pixels) for run in runs):
            return False
        if all(run.is_full for run in runs):
            self._count("unlabelled")
            return False
        held = sum(kept.size for kept in list(self._waiting))
        if len(self._waiting) >= _MOST_WAITING or held >= _MOST_WAITING_BYTES:
            self._count("dropped")
            return False
        return True

    def offer(self, kept: Kept) -> None:
        """Take a photo, to look at it when there is time."""
        self._waiting.append(kept)
        self._offered.set()

    def report_fault(self, model: LoadedModel, error: BundleError) -> None:
        """Hear that a network failed on a photo that was to be answered: a new champion goes back at once."""
        self._fault = model.bundle.path.stem, str(error)
        self._asked.set()

    def look(self) -> None:
        """Write down what was seen, follow the registry, and end what must end. Also called from outside.

        Raises:
            BinsightError: registry or loop cannot be read or written; it is tried again.
        """
        with self._looking:
            for run in self.runs:
                run.write()
            self._follow()
            self._judge_fault()
            for run in self.runs:
                reason = find_reason(run.trial.kind, run.update(), list(run.times_s))
                if reason is not None and run.trial.kind == "watch":
                    self._roll_back(run.trial, reason)
                elif reason := reason or run.fault:
                    _log.warning("the shadow ends: it %s", reason)
                    run.write()  # what came since the beginning of this look
                    end_trial(self.registry, run.trial, by=_BY, reason=reason)
                    self._follow()

    def _work(self) -> None:
        _lower_priority()
        while not self._closing:
            self._offered.wait()
            self._offered.clear()
            while self._waiting and not self._closing:
                if self._queue.await_idle(_LOOK_EVERY_S):
                    self._attempt(self._take_one)

    def _watch(self) -> None:
        while not self._closing:
            self._attempt(self.look)
            self._asked.wait(_LOOK_EVERY_S)
            self._asked.clear()
        for run in self.runs:
            self._attempt(run.write)

    def _take_one(self) -> None:
        kept = self._waiting.popleft()
        for run in self.runs:
            if not kept.is_revoked and run.takes(self.keeper.queue, kept.pixels):
                self._count(run.look(kept, self.keeper))

    def _count(self, result: Result) -> None:
        with self._counting:
            self.results[result] += 1

    def _attempt(self, work: Callable[[], object]) -> None:
        """Do it; what goes wrong is in the log, once, and nothing else suffers from it."""
        try:
            work()
        except Exception as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.error("the shadow: %s", error, exc_info=None if isinstance(error, BinsightError) else error)

    def _follow(self) -> None:
        """Run what the ledger says is due; where another model is the champion by now, serve that."""
        stamp = self.registry.ledger.path.stat()
        if (stamp.st_mtime_ns, stamp.st_size) != self._read:
            self._entries = self._read_ledger()
            self.refused.clear()
            self._read = stamp.st_mtime_ns, stamp.st_size
        champion = aliases_of(self._entries).champion
        if champion != self._controls.served().bundle.path.stem and champion not in self.refused:
            try:
                self._controls.reload()
            except ReloadBusyError:
                self._read = None
            except BinsightError as error:
                self.refused[str(champion)] = str(error)
        due = {trial.id: trial for trial in due_trials(self._entries, self.registry.ledger.now())}
        self._exchange(due if champion == self._controls.served().bundle.path.stem else {})
        for number in Comparison.going_on(self.keeper.queue):  # also what ended while no server ran
            if number not in due and (trial := find_trial(self._entries, number)) is not None:
                Comparison(self.keeper.queue, trial).end(why_ended(self._entries, trial))

    def _read_ledger(self) -> list[Entry]:
        entries = self.registry.ledger.read()
        aliases = aliases_of(entries)
        if (
            aliases.champion
            and aliases.challenger
            and not find_challenge(entries, aliases.challenger, aliases.champion)
        ):
            begin_challenge(self.registry, by=_BY)
            entries = self.registry.ledger.read()
        return entries

    def _exchange(self, due: dict[str, Trial]) -> None:
        runs = {run.trial.id: run for run in self.runs if run.trial == due.get(run.trial.id)}
        is_less = len(runs) < len(self.runs)
        for trial in due.values():
            if trial.id not in runs and trial.id not in self.refused and (run := self._begin(trial)):
                runs[trial.id] = run
        self.runs = tuple(runs.values())
        if is_less:
            release_memory()

    def _begin(self, trial: Trial) -> ShadowRun | None:
        registry, comparison = self.registry, Comparison(self.keeper.queue, trial)
        try:
            model = LoadedModel.load(registry.path(trial.shadow), name=None, threads=1)
            if set(model.narrow.taxonomy.ids) != set(self._controls.served().narrow.taxonomy.ids):
                raise BundleError("its classes are others than the champion's")
        except BinsightError as error:
            self.refused[trial.id] = str(error)
            _log.error("no shadow, %s cannot run: %s", registry.find(trial.shadow).label, error)
            return None
        comparison.begin(registry.find(trial.old).label, registry.find(trial.new).label)
        _log.warning("in the shadow: %s", registry.find(trial.shadow).label)
        return ShadowRun(comparison, model, self._controls.served, self._limits)

    def _judge_fault(self) -> None:
        fault, self._fault = self._fault, None
        for trial in due_trials(self._entries, self.registry.ledger.now()):
            if fault is not None and trial.kind == "watch" and trial.new == fault[0]:
                self._roll_back(trial, f"fails: {fault[1]}")
                if trial in due_trials(self._entries, self.registry.ledger.now()):
                    self._fault = fault  # it is not forgotten when going back has to wait

    def _roll_back(self, trial: Trial, reason: str) -> None:
        if time.monotonic() < self._retry_at:
            return
        _log.warning("rolling back from %s: it %s", self.registry.find(trial.new).label, reason)
        try:
            self._controls.roll_back(reason, trial.new)
        except ReloadBusyError:
            return
        except BinsightError as error:
            self._retry_at = time.monotonic() + _RETRY_S
            _log.error("it cannot be rolled back: %s; tried again in %.0f s", error, _RETRY_S)
        self._follow()


def _lower_priority() -> None:
    """Let the present thread have a core only when nothing else wants it; Linux alone can do that to a thread."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
