"""What the views of one server share."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from flask import current_app, g

from binsight.errors import BinsightError, BundleError
from binsight.imaging import ImageLimits
from binsight.loop.registry import Registry
from binsight.predictor import Prediction, available_cores
from binsight.serving.keeping import HashedInput, Keeper, Receipt, Upload
from binsight.serving.loop_metrics import LoopCollector
from binsight.serving.models import Change, LoadedModel, ModelStore, UnknownModelError
from binsight.serving.photo_queue import ClosedError, DeadlineError, Job, PhotoQueue, QueueFullError, await_result
from binsight.serving.placements import Placements
from binsight.serving.problems import ProblemError
from binsight.serving.sessions import CAMERA_HEADER, Sessions
from binsight.serving.settings import Settings
from binsight.serving.shadow import Controls, Shadow
from binsight.serving.telemetry import Telemetry
from binsight.serving.uploads import ByteBudget

__all__ = ["Service", "State", "current_service", "draining"]

State = Literal["loading", "ready", "draining"]
_log = logging.getLogger("binsight.serving")
# A model is loaded in about a second; clients that wait that long find it ready.
_LOADING_RETRY_S = 2.0
_DRAINING_RETRY_S = 5.0
_LEAST_TO_WRITE_S = 2.0


@dataclass(slots=True)
class Service:
    """One server's models, queue, metrics and state."""

    settings: Settings
    store: ModelStore
    queue: PhotoQueue
    telemetry: Telemetry
    budget: ByteBudget
    limits: ImageLimits
    sessions: Sessions
    keeper: Keeper | None = None
    shadow: Shadow | None = None
    end_teaching: Callable[[], None] = lambda: None
    state: State = "loading"
    draining_since: float = math.inf
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def create(cls, settings: Settings, placements: Placements | None = None) -> Service:
        """Everything in place, nothing loaded or started yet; `placements` are what is served instead of the models."""
        telemetry, budget = Telemetry(), ByteBudget(settings.max_pending_bytes)
        cores = available_cores()
        # A lone photo gets all cores, but no more threads than there would be for many.
        threads = min(cores, settings.workers or cores)
        store = ModelStore(
            settings.unregistered,
            threads=threads,
            precision=settings.precision,
            on_change=telemetry.model_change,
            placements=placements,
            registry=None if settings.registry_dir is None else Registry(settings.registry_dir),
        )
        queue = PhotoQueue(
            # One more than there are cores: a core is not idle while a photo is between decoder, network and answer.
            workers=settings.workers or cores + 1,
            capacity=settings.queue_size,
            observe=telemetry.stage,
        )
        limits = ImageLimits(max_bytes=settings.max_photo_bytes, max_pixels=settings.max_pixels)
        service = cls(settings, store, queue, telemetry, budget, limits, Sessions(settings.strange))
        queue.on_fault = service.note_fault
        if settings.loop_dir is not None:
            service._open_loop(settings.loop_dir)
        telemetry.watch("queue_depth", "Photos that wait.", lambda: queue.depth)
        telemetry.watch("queue_capacity", "Photos that may wait.", lambda: queue.capacity)
        telemetry.watch("pending_bytes", "Bytes of requests in progress.", lambda: budget.held)
        telemetry.watch(
            "strange_clients", "Clients whose photos look strange now.", lambda: service.sessions.count("strange")
        )
        telemetry.watch(
            "new_cameras", "Named cameras of which nothing is known yet.", lambda: service.sessions.count("new")
        )
        telemetry.watch("ready", "1 when photos are taken.", lambda: service.state == "ready")
        return service

    def load(self) -> None:
        """Load and warm the models, take photos.

        Raises:
            BinsightError: a model is missing or not sound.
        """
        self.store.load_all()
        with self._lock:
            if self.state == "loading":
                self.state = "ready"
        if self.shadow is not None:
            self.shadow.start()

    def refuse_photos(self) -> None:
        """From now on, except those of requests that began before."""
        with self._lock:
            self.state, self.draining_since = "draining", time.perf_counter()

    def drain(self, timeout_s: float) -> bool:
        """Refuse photos and finish those that wait; says whether all were finished in time."""
        self.refuse_photos()
        self.end_teaching()
        end = time.monotonic() + timeout_s
        done = self.queue.close(timeout_s)
        if self.shadow is not None:
            self.shadow.close(max(_LEAST_TO_WRITE_S, end - time.monotonic()))
        if self.keeper is not None:
            self.keeper.close(max(_LEAST_TO_WRITE_S, end - time.monotonic()))
        return done

    def reload_all(self) -> None:
        """Load every model again from its place; one that is not sound is logged, and its old version stays."""
        for name in self.store.names:
            with suppress(BinsightError):  # it is in the log and counted
                self.reload(name)

    def reload(self, name: str, path: Path | None = None, *, force: bool = False) -> Change:
        """Load one model again from its place, or the bundle at `path` instead; what comes of it is logged and counted.

        Raises:
            BinsightError: as `ModelStore.reload`; the old version stays.
        """
        try:
            change = self.store.reload(name, path, force=force)
        except BinsightError as error:
            # The first two say nothing about the bundle's soundness.
            self.telemetry.model_kept(name, {"reload_busy": "busy", "rolled_back": "kept"}.get(error.code, "refused"))
            _log.error("model %s was not reloaded, the old version stays: %s", name, error)
            raise
        _log.warning("model %s: %s, version %s", name, change, self.store.get(name).version)
        return change

    def check_ready(self, begun: float = math.inf) -> None:
        """Raise 503 unless photos are taken, from a request that began at `begun` on the clock `perf_counter`."""
        if self.state == "loading":
            raise ProblemError("loading", "the model is being loaded", retry_after_s=_LOADING_RETRY_S)
        if self.state == "draining" and begun > self.draining_since:
            raise draining()

    def model(self, name: str | None) -> LoadedModel:
        """The model of that name, or the default one; 404 when there is none."""
        try:
            return self.store.get(name)
        except UnknownModelError as error:
            raise ProblemError("unknown_model", str(error)) from None

    def check_room(self) -> None:
        """Raise 429 or 503 when one more photo would be refused anyway, before it is received."""
        try:
            self.queue.check_room(1, self.deadline())
        except QueueFullError as error:
            raise _full(error) from None
        except ClosedError:
            raise draining() from None

    def note(self, model: LoadedModel, prediction: Prediction) -> Prediction:
        """Count a prediction of the present request, whose answer says how the camera stands that the client names.

        Or, where it names none, when its photos are strange. Gives the prediction as it is to be answered: nothing of a
        strange or new camera is accepted, unless so it is set.
        """
        begins, check = self.sessions.add(
            g.client, model.name, model.bundle.manifest, prediction, camera=g.camera
        )  # fmt: skip
        if begins:
            self.telemetry.strange_session(model.name)
        state = f"{check.state};unlike={check.strange};photos={check.photos}"
        g.headers = {CAMERA_HEADER: state} if check.is_strange or g.camera is not None else {}
        prediction = check.judge(prediction)
        self.telemetry.prediction(model.name, prediction)
        return prediction

    def note_fault(self, model: LoadedModel, error: BundleError) -> None:
        """A network failed on a photo: the log says so, and a new champion goes back."""
        _log.error("model %s, version %s: %s", model.name, model.version, error)
        if self.shadow is not None:
            self.shadow.report_fault(model, error)

    def hash_inputs(self, jobs: Sequence[Job]) -> list[HashedInput]:
        """Let jobs remember the hashes of their pixels, for `keep`; none where there is no loop."""
        if self.keeper is None:
            return []
        hashed = [HashedInput(job.prepare) for job in jobs]
        for job, prepare in zip(jobs, hashed, strict=True):
            job.prepare = prepare
        return hashed

    def keep(
        self, model: LoadedModel, photo: Upload, pixels: HashedInput, prediction: Prediction, *, may_keep: bool
    ) -> Receipt | None:
        """Count a photo for the loop, and keep it if it is drawn; its receipt, where it is."""
        assert self.keeper is not None  # noqa: S101 - only asked for with one
        bundle = model.bundle.path
        return self.keeper.consider(photo, pixels.sha256, prediction, may_keep=may_keep, bundle=bundle)

    def _open_loop(self, directory: Path) -> None:
        is_busy = lambda: self.queue.depth > 0  # noqa: E731
        keeper = self.keeper = Keeper(directory, self.settings.quotas, limits=self.limits, is_busy=is_busy)
        self.telemetry.watch("kept_waiting", "Photos to keep that are not written yet.", lambda: keeper.waiting)
        self.telemetry.watch("kept_dropped", "Photos to keep that could not be.", lambda: keeper.dropped)
        if self.store.registry is not None:
            self.shadow = Shadow(self.store.registry, keeper, self.queue, self._controls(), limits=self.limits)
        self.telemetry.registry.register(LoopCollector(keeper, self.shadow, self.store))

    def _controls(self) -> Controls:
        store = self.store
        return Controls(
            served=lambda: store.get(store.registered),
            reload=lambda: self.reload(store.registered),
            roll_back=lambda reason, of: store.rollback(store.registered, reason=reason, of=of),
        )

    def deadline(self) -> float:
        """When work that arrives now must have begun."""
        return time.monotonic() + self.settings.deadline_s

    def run(self, jobs: Sequence[Job]) -> list[Any]:
        """Queue the jobs together, wait for all, give each one's result or the error it raised.

        Raises:
            ProblemError: 429 there is no room for all of them, 503 the server is shutting down.
        """
        try:
            self.queue.submit(jobs)
        except QueueFullError as error:
            raise _full(error) from None
        except ClosedError:
            raise draining() from None
        return [self._result(job) for job in jobs]

    def _result(self, job: Job) -> Any:
        try:
            return await_result(job)
        except DeadlineError as error:
            return ProblemError("deadline", str(error), retry_after_s=1)
        except BinsightError as error:
            return error.with_traceback(None)  # which holds the job, and so the photo


def current_service() -> Service:
    """The service of the application that handles the present request."""
    return cast("Service", current_app.extensions["binsight"])


def _full(error: QueueFullError) -> ProblemError:
    return ProblemError("queue_full", str(error), retry_after_s=error.retry_after_s)


def draining() -> ProblemError:
    """503, the server is shutting down."""
    return ProblemError("draining", "the server is shutting down", retry_after_s=_DRAINING_RETRY_S)
