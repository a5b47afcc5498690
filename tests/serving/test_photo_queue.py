"""The queue: order, bounds, deadlines, shutdown; with a clock of the test's own and no sleeps."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
from tests.patience import PATIENCE_S

from binsight.predictor import Outputs
from binsight.serving.photo_queue import ClosedError, DeadlineError, Job, PhotoQueue, QueueFullError, await_result

FOREVER = 1e9


class FakeEngine:
    """Doubles each photo's first value, notes the batch sizes, and waits for `opened`."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.entered = threading.Semaphore(0)
        self.opened = threading.Event()
        self.opened.set()

    def run(self, inputs, names):
        self.entered.release()
        assert self.opened.wait(PATIENCE_S)
        self.batches.append(len(inputs))
        return Outputs(2 * inputs.reshape(len(inputs), -1)[:, :1].astype(np.float32))


class FakeModel:
    def __init__(self) -> None:
        self.narrow, self.wide = FakeEngine(), FakeEngine()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def pixels(value: int) -> np.ndarray:
    """Return one photo of a single pixel."""
    return np.full((1, 1, 1, 3), value, np.uint8)


def job(
    model: FakeModel,
    value: int = 1,
    deadline: float = FOREVER,
    outputs: tuple[str, ...] = ("logits",),
    prepare: Callable[[], np.ndarray] | None = None,
) -> Job:
    """Return a job whose result is twice the pixel's value."""
    return Job(
        model, outputs, prepare or (lambda: pixels(value)), lambda out, timing: float(out.logits[0, 0]), deadline
    )


@pytest.fixture
def model():
    """Return a model that runs nothing, and let go whatever it holds up in the end."""
    model = FakeModel()
    yield model
    model.narrow.opened.set()
    model.wide.opened.set()


@pytest.fixture
def start():
    """Make queues that are closed with the test."""
    queues: list[PhotoQueue] = []

    def start(**values) -> PhotoQueue:
        options = {"workers": 1, "capacity": 8, "observe": lambda *_: None, "clock": Clock()} | values
        queue = PhotoQueue(**options)
        queues.append(queue)
        return queue

    yield start
    for queue in queues:
        queue.close(20)


def hold(queue: PhotoQueue, model: FakeModel) -> Job:
    """Occupy the only worker with a lone job until `model.wide.opened` is set."""
    model.wide.opened.clear()
    blocking = job(model)
    queue.submit([blocking])
    assert model.wide.entered.acquire(timeout=PATIENCE_S)
    return blocking


def test_each_job_gets_its_own_result(start, model):
    """Results belong to the jobs, whatever ran before or beside them."""
    queue = start(workers=2)
    jobs = [job(model, value) for value in range(5)]
    queue.submit(jobs)
    assert [await_result(j, clock=Clock()) for j in jobs] == [0, 2, 4, 6, 8]


def test_a_lone_photo_gets_all_cores_and_several_get_one_each(start, model):
    """The wide engine runs alone; with others waiting, the narrow one is used."""
    queue = start()
    hold(queue, model)
    jobs = [job(model), job(model)]
    queue.submit(jobs)
    model.wide.opened.set()
    for j in jobs:
        j.future.result(20)
    assert (model.wide.batches, model.narrow.batches) == ([1, 1], [1])


def test_what_does_not_fit_is_refused_whole_and_at_once(start, model):
    """Of three jobs for two places none is queued."""
    queue = start(capacity=2)
    hold(queue, model)
    with pytest.raises(QueueFullError, match="may"):
        queue.submit([job(model) for _ in range(3)])
    assert queue.depth == 0
    queue.submit([job(model), job(model)])
    with pytest.raises(QueueFullError):
        queue.check_room(1, FOREVER)


def test_an_expired_job_is_not_computed(start, model):
    """Its photo is not even decoded."""
    clock = Clock()
    queue = start(clock=clock)
    hold(queue, model)
    prepared = threading.Event()
    late = job(model, deadline=5, prepare=lambda: prepared.set() or pixels(1))
    queue.submit([late])
    clock.now = 6
    model.wide.opened.set()
    with pytest.raises(DeadlineError):
        late.future.result(20)
    assert not prepared.is_set()


def test_whoever_waits_gives_up_at_the_deadline_and_the_job_is_dropped(start, model):
    """The answer does not wait for a worker to notice."""
    clock = Clock()
    queue = start(clock=clock)
    blocking = hold(queue, model)
    late = job(model, deadline=5)
    queue.submit([late])
    clock.now = 6
    with pytest.raises(DeadlineError):
        await_result(late, clock=clock)
    model.wide.opened.set()
    assert blocking.future.result(20) == 2
    assert queue.close(20)
    assert model.narrow.batches == []


def test_a_job_begun_in_time_is_waited_for(start, model):
    """Its result comes even when the deadline passes meanwhile."""
    clock = Clock()
    queue = start(clock=clock)
    blocking = hold(queue, model)
    blocking.deadline, clock.now = 1.0, 2.0
    threading.Timer(0, model.wide.opened.set).start()
    assert await_result(blocking, clock=clock) == 2


def test_what_could_not_begin_before_its_deadline_is_refused(start, model):
    """With 2 s of work for each, the third to wait would begin after 4 s."""
    clock = Clock()
    queue = start(clock=clock)

    def slow():
        clock.now += 2
        return pixels(1)

    first = job(FakeModel(), prepare=slow)
    queue.submit([first])
    first.future.result(20)
    hold(queue, model)
    queue.submit([job(model), job(model)])
    with pytest.raises(QueueFullError, match="of work") as caught:
        queue.submit([job(model, deadline=clock.now + 3)])
    assert caught.value.retry_after_s == pytest.approx(4, abs=0.5)
    queue.submit([job(model, deadline=clock.now + 5)])


def test_one_bad_photo_leaves_the_others_alone(start, model):
    """The error reaches only the one who sent it."""
    queue = start()
    hold(queue, model)

    def broken():
        raise ValueError("broken")

    jobs = [job(model, 1), job(model, prepare=broken), job(model, 3)]
    queue.submit(jobs)
    model.wide.opened.set()
    assert (jobs[0].future.result(20), jobs[2].future.result(20)) == (2, 6)
    with pytest.raises(ValueError, match="broken"):
        jobs[1].future.result(20)


def test_a_failing_network_fails_its_photo_and_not_the_worker(start, model, monkeypatch):
    """The next photo is classified again."""
    queue = start()
    with monkeypatch.context() as patch:
        patch.setattr(model.wide, "run", lambda *_: 1 / 0)
        failing = job(model)
        queue.submit([failing])
        with pytest.raises(ZeroDivisionError):
            failing.future.result(20)
    good = job(model, 4)
    queue.submit([good])
    assert good.future.result(20) == 8


def test_closing_finishes_what_waits_and_takes_no_more(start, model):
    """Nobody who was accepted is let down."""
    queue = start()
    hold(queue, model)
    waiting = [job(model, value) for value in (1, 2)]
    queue.submit(waiting)
    assert not queue.close(0)
    with pytest.raises(ClosedError):
        queue.submit([job(model)])
    model.wide.opened.set()
    assert queue.close(20)
    assert [j.future.result(0) for j in waiting] == [2, 4]


def test_stages_are_reported_for_every_job(start, model):
    """Queue, decode, infer, render: once each."""
    stages = []
    queue = start(observe=lambda stage, seconds: stages.append(stage))
    only = job(model)
    queue.submit([only])
    only.future.result(20)
    assert queue.close(20)
    assert sorted(stages) == ["decode", "infer", "queue", "render"]
