"""Servers to test: in this process, with the tiny bundle, on a free port of this machine where a port is needed."""

from __future__ import annotations

import io
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from tests.patience import PATIENCE_S

from binsight.serving.app import create_app
from binsight.serving.models import LoadedModel
from binsight.serving.server import RunningServer
from binsight.serving.service import Service
from binsight.serving.settings import Settings

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


def photo(colour: str = "red", kind: str = "PNG", size: tuple[int, int] = (24, 20)) -> bytes:
    """The file of a photo of one colour; the tiny network's answer is that colour."""
    file = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(file, kind)
    return file.getvalue()


@dataclass
class Gate:
    """Holds up the network: `entered` says that a worker has reached it, `opened` lets it go on."""

    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    opened: threading.Event = field(default_factory=threading.Event)

    def hold(self, monkeypatch: pytest.MonkeyPatch, model: LoadedModel) -> None:
        for engine in {id(e): e for e in (model.narrow, model.wide)}.values():
            monkeypatch.setattr(engine, "run", self._held(engine.run))

    def _held(self, run: Callable[..., Any]) -> Callable[..., Any]:
        def held(*args: Any, **kwargs: Any) -> Any:
            self.entered.release()
            assert self.opened.wait(PATIENCE_S)
            return run(*args, **kwargs)

        return held


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Return a gate, closed until the test opens it or ends."""
    gate = Gate()
    yield gate
    gate.opened.set()


@pytest.fixture
def make_app(shared_bundle: Path) -> Iterator[Callable[..., Flask]]:
    """Make applications with the tiny bundle and the settings given; their workers end with the test."""
    apps: list[Flask] = []

    def make(*, load: bool = True, log_stream: Any = None, **values: Any) -> Flask:
        values = {
            "models": (str(shared_bundle),),
            "access_log": log_stream is not None,
            "deadline_s": PATIENCE_S,
        } | values
        app = create_app(Settings(**values), load=load, log_stream=log_stream)
        app.testing = False  # an unforeseen error must become an answer here, too
        apps.append(app)
        return app

    yield make
    for app in apps:
        assert service_of(app).drain(PATIENCE_S)


@pytest.fixture(scope="module")
def app(shared_bundle: Path) -> Iterator[Flask]:
    """Return an application as it is by default, one for all tests of a module: they leave it as they found it."""
    app = create_app(Settings(models=(str(shared_bundle),), access_log=False))
    yield app
    assert service_of(app).drain(PATIENCE_S)


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client of `app`."""
    return app.test_client()


@pytest.fixture
def serve(shared_bundle: Path) -> Iterator[Callable[..., RunningServer]]:
    """Start servers on free ports; they stop with the test."""
    servers: list[RunningServer] = []

    def start(**values: Any) -> RunningServer:
        values = {
            "models": (str(shared_bundle),),
            "port": 0,
            "access_log": False,
            "queue_size": 32,
            "deadline_s": PATIENCE_S,
            "drain_timeout_s": 5,
        } | values
        server = RunningServer(Settings(**values))
        servers.append(server)
        server.load()
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="module")
def quick_lessons() -> Iterator[None]:
    """Teach in processes of their own as ever, but forked from one that has imported already: half as long."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        yield
        return
    multiprocessing.set_forkserver_preload(["binsight.adapt", "binsight.serving.teaching", "onnxruntime"])
    context = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("binsight.serving.teaching.multiprocessing.get_context", lambda _: context)
        yield


def service_of(app: Flask) -> Service:
    """Return the service behind an application."""
    return app.extensions["binsight"]


def upload(*photos: bytes, name: str = "a.png") -> dict[str, Any]:
    """Return the arguments of `client.post` for a form with these photos."""
    return {"data": {"file": [(io.BytesIO(data), name) for data in photos]}, "content_type": "multipart/form-data"}
