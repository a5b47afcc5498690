"""The whole process: start, signals, drain, exit codes. On Windows there are no such signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from urllib.request import urlopen

import pytest
from tests.patience import PATIENCE_S
from tests.serving.conftest import photo
from tests.serving.test_connections import WHOLE, connect, exchange, receive
from tests.serving.test_models import flip_a_bit, replace

from binsight.serving.server import ListenError, RunningServer
from binsight.serving.settings import Settings

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of Unix")
PATIENT = ["--deadline", str(PATIENCE_S), "--drain-timeout", str(PATIENCE_S)]
COMMAND = [sys.executable, "-m", "binsight", "serve", "--port", "0", "--queue", "32", *PATIENT]


class Process:
    """`binsight serve` as a process, and what it says."""

    def __init__(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, *arguments], stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self.lines: list[str] = []
        self.url = self.wait_for("taking photos at ").split()[-1]

    def wait_for(self, text: str) -> str:
        """The next line with `text` in it."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError("".join(self.lines))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        _, rest = self.process.communicate(timeout=60)
        self.lines += rest.splitlines(keepends=True)
        return self.process.returncode


@pytest.fixture
def start():
    """Start processes that are gone with the test."""
    started: list[Process] = []

    def start(*arguments: str, **environment: str) -> Process:
        started.append(Process(*arguments, **environment))
        return started[-1]

    yield start
    for process in started:
        if process.process.poll() is None:
            process.process.kill()
        process.process.communicate()


def version(url: str) -> str:
    """Return the version of the model that answers."""
    return json.loads(exchange(url, WHOLE)[2])["model"]["version"]


def test_sighup_swaps_the_model_and_sigterm_ends_with_0(start, bundle: Path):
    """Without an interruption; and a bundle with one bit changed never replaces a good one."""
    server = start("--model", str(bundle))
    assert version(server.url) == "1.0.0"
    replace(bundle, "2.0.0")
    server.process.send_signal(signal.SIGHUP)
    server.wait_for("loaded, version 2.0.0")
    assert version(server.url) == "2.0.0"
    replace(bundle, "3.0.0")
    flip_a_bit(bundle)
    server.process.send_signal(signal.SIGHUP)
    assert "card.md" in server.wait_for("the old version stays")
    assert version(server.url) == "2.0.0"
    assert server.stop() == 0


def test_sigterm_finishes_what_was_received(start, bundle: Path):
    """Requests under way get their answers, new connections are refused, the exit code is 0."""
    server = start("--model", str(bundle), "--workers", "1", "--no-access-log")
    photos = photo("green", "PNG", (2500, 2500))
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n" % len(photos)
    socks = [connect(server.url) for _ in range(6)]
    try:
        for sock in socks:
            sock.sendall(head + photos)
        wait_until_received(server.url, len(socks))
        server.process.send_signal(signal.SIGTERM)
        answers = [receive(sock) for sock in socks]
    finally:
        for sock in socks:
            sock.close()
    assert [status for status, _, _ in answers] == [200] * 6
    assert server.wait() == 0
    with pytest.raises(OSError):  # noqa: PT011 - refused or reset, as the system has it
        connect(server.url)


def wait_until_received(url: str, count: int) -> None:
    """Until the metrics say that `count` photos were read."""
    line = f'binsight_stage_seconds_count{{stage="read"}} {float(count)}'
    for _ in range(2000):
        with urlopen(f"{url}/metrics", timeout=PATIENCE_S) as answer:  # noqa: S310 - our own address
            if line in answer.read().decode():
                return
    raise AssertionError(f"{count} photos did not arrive")


def test_settings_come_from_the_environment_too(start, bundle: Path, tmp_path: Path):
    """Flags go before them; a key file lets in whoever has a key."""
    (tmp_path / "keys").write_text("# phones\n" + "phone:" + "0" * 64 + "\n")
    server = start(BINSIGHT_MODEL=str(bundle), BINSIGHT_API_KEYS=str(tmp_path / "keys"), BINSIGHT_MAX_FILES="5")
    assert exchange(server.url, WHOLE)[0] == 401
    assert server.stop() == 0
    entries = [json.loads(line) for line in server.lines if line.startswith("{")]
    assert entries[0]["code"] == "unauthorized"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--model", "nowhere"], "nowhere"),
        (["--max-files", "99"], "queue_size"),
        (["--api-keys", "nowhere"], "nowhere"),
        (["--tls-key", "nowhere"], "tls_certificate"),
        (["--port", "99999"], "99999"),
    ],
)
def test_a_wrong_start_is_one_line_and_exit_code_2(arguments, text):
    """No traceback, no server."""
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_explains_every_setting_and_its_variable():
    """Each flag can be set in the environment, and says so."""
    done = subprocess.run(
        [*COMMAND, "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
        env=os.environ | {"COLUMNS": "200"},
    ).stdout
    for name in Settings.__dataclass_fields__:
        assert name.split("_")[0] in done
    assert done.count("BINSIGHT_") >= 27


def test_an_address_that_is_taken_is_an_error(shared_bundle):
    """With the port in the message."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=str(port)):
            RunningServer(Settings(models=(str(shared_bundle),), port=port))


def test_photos_wait_for_a_model_that_still_loads(serve, monkeypatch):
    """The port is open from the start; until the model is there, the answer is 503."""
    loading, go_on = threading.Event(), threading.Event()
    started = []

    def load(self):
        started.append(self)
        loading.set()
        assert go_on.wait(PATIENCE_S)

    monkeypatch.setattr(RunningServer, "load", load)
    thread = threading.Thread(target=serve)
    thread.start()
    assert loading.wait(PATIENCE_S)
    status, headers, body = exchange(started[0].url, WHOLE)
    go_on.set()
    thread.join(PATIENCE_S)
    assert (status, json.loads(body)["code"]) == (503, "loading")
    assert headers["retry-after"]


def test_an_upload_that_is_cut_off_gets_503_and_the_exit_code_says_so(start, bundle: Path):
    """Until then the port is open, and says to probes and to others that nothing more is taken."""
    server = start("--model", str(bundle), "--drain-timeout", "1.5", "--no-access-log")
    with connect(server.url) as cut, connect(server.url) as finished:
        cut.sendall(WHOLE[:-5])
        finished.sendall(WHOLE[:-5])
        assert exchange(server.url, WHOLE)[0] == 200
        server.process.send_signal(signal.SIGTERM)
        server.wait_for("stopping")
        status, _, body = exchange(server.url, b"GET /health/ready HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (status, json.loads(body)["code"]) == (503, "draining")
        assert exchange(server.url, b"GET /health/live HTTP/1.1\r\nHost: a\r\n\r\n")[0] == 200
        status, headers, body = exchange(server.url, WHOLE)
        assert (status, json.loads(body)["code"]) == (503, "draining")
        assert headers["retry-after"]
        finished.sendall(WHOLE[-5:])
        assert receive(finished)[0] == 200
        status, headers, body = receive(cut)
    assert (status, json.loads(body)["code"]) == (503, "draining")
    assert headers["x-request-id"]
    assert server.wait() == 1


def test_sigterm_does_not_wait_for_those_who_have_asked_nothing(start, bundle: Path):
    """Idle connections, and headers that never end."""
    server = start("--model", str(bundle), "--drain-timeout", "30", "--no-access-log")
    with connect(server.url) as idle, connect(server.url) as slow:
        idle.sendall(WHOLE)
        assert receive(idle)[0] == 200
        slow.sendall(WHOLE[:30])
        begun = time.monotonic()
        assert server.stop() == 0
    assert time.monotonic() - begun < 20
