"""Real services for tests: started on a free port in a temporary folder, skipped with a reason where they are missing.

In `.ci/run` they must run: there the variable CI is set, and what is missing fails.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["free_port", "mosquitto", "new_database", "postgres"]


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _find(name: str, *folders: str) -> str:
    for folder in folders:
        found = sorted(Path("/").glob(folder.lstrip("/") + "/" + name))
        if found:
            return str(found[-1])
    path = shutil.which(name)
    if path is None:
        reason = f"{name} is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return path


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended with {process.returncode}"
        with socket.socket() as client:
            client.settimeout(0.2)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens on port {port}")


@contextmanager
def mosquitto(
    folder: Path, *, port: int | None = None, nodelay: bool = True, settings: str | None = None
) -> Iterator[int]:
    """Run a broker for MQTT and give its port; with `settings`, on another port than they say."""
    program = _find("mosquitto", "/usr/sbin")
    port = port or free_port()
    config = folder / f"mosquitto-{port}.conf"
    if settings is None:
        settings = f"listener 1883\nallow_anonymous true\npersistence false\nset_tcp_nodelay {str(nodelay).lower()}\n"
    assert "listener 1883\n" in settings
    config.write_text(settings.replace("listener 1883\n", f"listener {port} 127.0.0.1\n"))
    process = subprocess.Popen([program, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_port(port, process)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=PATIENCE_S)


@contextmanager
def postgres(*settings: str) -> Iterator[str]:
    """Run a PostgreSQL of its own and give the address of an empty database in it; settings such as `fsync=on`."""
    # Not below the test's own folder: other users, as whom it must run here, may not enter that one.
    with tempfile.TemporaryDirectory(prefix="binsight-postgres-", ignore_cleanup_errors=True) as folder:
        yield from _run_postgres(Path(folder), settings or ("fsync=off",))


def _run_postgres(folder: Path, settings: tuple[str, ...]) -> Iterator[str]:
    programs = "/usr/lib/postgresql/*/bin"
    initdb, server = _find("initdb", programs), _find("postgres", programs)
    data, port = folder / "postgres", free_port()
    as_user: list[str] = []
    if os.geteuid() == 0:
        # It refuses to run as root. The package's user owns the folder, and must be able to reach it.
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
        os.chown(folder, pwd.getpwnam("postgres").pw_uid, pwd.getpwnam("postgres").pw_gid)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run([*as_user, initdb, "-D", data, "-A", "trust", "-U", "binsight", "-N"], check=True, cwd="/", **quiet)
    options = ["-p", str(port), "-k", "", "-c", "listen_addresses=127.0.0.1"]
    options += [word for setting in settings for word in ("-c", setting)]
    process = subprocess.Popen([*as_user, server, "-D", str(data), *options], cwd="/", **quiet)
    try:
        _wait_for_port(port, process)
        ready = [_find("pg_isready", programs), "-q", "-h", "127.0.0.1", "-p", str(port)]
        while subprocess.run(ready, check=False).returncode:  # it listens before it lets anyone in
            assert process.poll() is None, f"it ended with {process.returncode}"
            time.sleep(0.05)
        yield f"postgresql+psycopg://binsight@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGQUIT)  # at once, whoever is still connected; nobody needs what it holds
        process.wait(timeout=PATIENCE_S)


def new_database(server: str) -> str:
    """Make an empty database beside that of `postgres`, and return its address."""
    name = f"test_{uuid.uuid4().hex}"
    engine = sa.create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(sa.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.rpartition("/")[0] + f"/{name}"
