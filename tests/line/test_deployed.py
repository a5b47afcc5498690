"""What deploy/line/compose.yaml starts, started here: the same files, commands and health checks, on free ports."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError

import pytest
import sqlalchemy as sa
import yaml
from tests.line.services import free_port, mosquitto, postgres
from tests.line.sources.cameras import wait_until

from binsight.errors import InputError
from binsight.line.ledger.database import open_database

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LINE = ROOT / "deploy" / "line"
PATIENCE_S = 120.0
pytestmark = pytest.mark.skipif(not LINE.is_dir(), reason="not in the source tree")
pytest.importorskip("av", reason="the line's camera needs binsight[line-video]")
pytest.importorskip("psycopg", reason="the line's ledger needs binsight[line-postgres]")


class Stand:
    """The services of the compose file on this machine, without containers.

    Attributes:
        folder: where each service's files lie, at the paths that it has in its container.
    """

    def __init__(self, folder: Path, *, broker: int, ledger: str) -> None:
        self.folder = folder
        self.services = yaml.safe_load((LINE / "compose.yaml").read_text(encoding="utf-8"))["services"]
        self.port, self._ledger = free_port(), ledger
        self._names = {
            "mqtt://broker:1883": f"mqtt://127.0.0.1:{broker}",
            "postgresql+psycopg://binsight@ledger/binsight": ledger,
            "rtsp://camera.local/": f"rtsp://127.0.0.1:{free_port()}/",
        }

    @contextmanager
    def running(self, name: str) -> Iterator[subprocess.Popen[str]]:
        """Run a service until it is asked to stop, as the engine of containers asks."""
        service = self.services[name]
        for mount in service["volumes"]:
            source, target, *_ = mount.split(":")
            self._put(source, self.folder / name / target.lstrip("/"))
        words = [
            str(self.folder / name / word.lstrip("/")) if word.startswith("/") else word for word in service["command"]
        ]
        # The folder in which it is started must not matter: a container has none of ours.
        process = subprocess.Popen(
            [sys.executable, "-c", "from binsight.cli.app import main; main()", *words],
            cwd="/", env=self.environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate()

    def _put(self, source: str, target: Path) -> None:
        if not source.startswith("./"):
            target.mkdir(parents=True, exist_ok=True)  # a volume
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        text = (LINE / source).read_text(encoding="utf-8")
        for name, here in self._names.items():
            assert name in text
            text = text.replace(name, here)
        target.write_text(text, encoding="utf-8")

    @property
    def environment(self) -> dict[str, str]:
        """What the image sets, with a port of our own; nothing of who runs the tests but where Python finds things."""
        image = dict(re.findall(r"^\s+(?:ENV )?(\w+)=(\S+?)(?: \\)?$", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
        kept = {name: os.environ[name] for name in ("PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
        own = {"BINSIGHT_HOST": "127.0.0.1", "BINSIGHT_PORT": str(self.port), "PATH": os.defpath}
        return {name: value for name, value in image.items() if name.isupper()} | kept | own

    def has_tables(self) -> bool:
        """Whether the line has made the ledger's tables."""
        try:
            open_database(self._ledger, upgrade=False).dispose()
        except InputError:
            return False
        return True

    def seen(self) -> tuple[Any, ...]:
        """Return what the dashboard shows: camera, state, whether the broker and the line are there, alarms."""
        overview = self.ask("/lines/line1/overview")
        if overview is None:
            return ()
        state, remote = overview["state"] or {}, overview["remote"]
        alarms = [alarm["code"] for alarm in overview["alarms"]]
        return state.get("camera"), state.get("state_name"), remote["broker"], remote["online"], alarms

    def ask(self, path: str) -> Any:
        """Return what the dashboard answers; None while it does not."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE_S) as answer:
                return json.load(answer)
        except (URLError, ConnectionError, TimeoutError):
            return None


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    """Give broker and ledger as the compose file has them, and what is needed to start the others."""
    folder = tmp_path_factory.mktemp("stand")
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto(folder, settings=(LINE / "mosquitto.conf").read_text(encoding="utf-8")))
        address = sa.make_url(stack.enter_context(postgres()))
        stand = Stand(folder, broker=broker, ledger=address.set(database="binsight").render_as_string())
        settings = stand.services["ledger"]["environment"]
        assert address.username == settings["POSTGRES_USER"]
        engine = sa.create_engine(address, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {settings['POSTGRES_DB']}"))
        engine.dispose()
        yield stand


def test_the_dashboard_waits_for_the_line(stand: Stand) -> None:
    """Before there are tables it ends with one line, and the engine starts it again."""
    with stand.running("dashboard") as dashboard:
        _, said = dashboard.communicate(timeout=PATIENCE_S)
    assert dashboard.returncode == 2
    assert said.count("\n") == 1
    assert "has no tables yet: `binsight line run` makes them" in said
    assert stand.services["dashboard"]["restart"] == "unless-stopped"


def test_line_and_dashboard_work_together(stand: Stand) -> None:
    """The line says over the broker how it is, the dashboard is healthy and shows it; both end when asked."""
    with stand.running("line") as line:
        wait_until(stand.has_tables, PATIENCE_S)
        with stand.running("dashboard") as dashboard:
            wait_until(lambda: stand.seen() == ("absent", "held", True, True, ["camera_absent"]), PATIENCE_S)
            check = health_check()
            wait_until(lambda: not subprocess.run(check, env=stand.environment, check=False).returncode, PATIENCE_S)
            end(line)
            wait_until(lambda: stand.seen()[2:4] == (True, False), PATIENCE_S)
            end(dashboard)


def health_check() -> list[str]:
    """Return the image's own check of its health, with the Python of the tests."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    (check,) = re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", text, re.MULTILINE)
    return [sys.executable, *json.loads(check)[1:]]


def end(process: subprocess.Popen[str]) -> None:
    """Ask a program to end, as the engine of containers does: it ends in good order."""
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
