"""Build the container image on a base made here, run it as it is meant to run, and weigh it.

python3 .ci/check_image.py FOLDER [--may-skip]

Needs root, `buildah` and `debootstrap`, but no container engine. The base is Debian with its own Python, under the
name of the Dockerfile's base. With --may-skip, a machine on which no container can be made says so, and that is all.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import urlopen

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
PHOTO = (ROOT / "examples" / "photos" / "plastic_bottle.jpg").read_bytes()
BASE = "docker.io/library/python:3.11-slim-bookworm"
MAX_BYTES = 200 << 20  # megabytes as du counts them, above the base
PATIENCE_S = 120
# Arguments: the root, the user, then variables and command.
CONTAINER = """set -e
mount --bind "$0" "$0"
mount -o remount,bind,ro "$0"
mount -t proc -o ro proc "$0/proc"
mount --rbind /dev "$0/dev"
exec chroot --userspec="$1" "$0" env -i "${@:2}"
"""


def main() -> None:
    """Build, weigh, run."""
    folder = Path(sys.argv[1]).resolve()
    if reason := why_not():
        print(f"no image was built: {reason}")
        sys.exit("--may-skip" not in sys.argv)
    folder.mkdir(parents=True)
    storage = Buildah(folder)
    base = make_base(folder / "base")
    if base is None:
        print("no image was built: debootstrap could not make a base")
        sys.exit("--may-skip" not in sys.argv)
    weight = size(base)
    storage.tag(base, BASE)
    shutil.rmtree(base)
    storage("build", "--isolation", "chroot", "--pull-never", "--format", "docker", "--tag", "binsight", str(ROOT))
    root = storage.mounted("binsight")
    above = size(root) - weight
    print(f"the image has {above / (1 << 20):.0f} MB above its base")
    assert above <= MAX_BYTES, f"expected at most {MAX_BYTES >> 20} MB"
    use(root, json.loads(storage("inspect", "--type", "image", "binsight"))["Docker"]["config"])
    print("the image classifies, shows its page and finishes what it has received, read-only and as its user")


def why_not() -> str | None:
    """Say why no container can be made here; None if it can."""
    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        return "it takes root on Linux"
    missing = [name for name in ("buildah", "debootstrap", "unshare", "chroot") if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed"
    tried = subprocess.run(["unshare", "--mount", "chroot", "/", "true"], check=False, capture_output=True, text=True)
    return tried.stderr.strip() or None


class Buildah:
    """`buildah` with storage of its own, which needs no file system of a special kind."""

    def __init__(self, folder: Path) -> None:
        self._command = [
            "buildah",
            "--storage-driver",
            "vfs",
            "--root",
            f"{folder}/images",
            "--runroot",
            f"{folder}/run",
        ]

    def __call__(self, *arguments: str) -> str:
        """Return what a command prints."""
        done = subprocess.run([*self._command, *arguments], check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    def tag(self, tree: Path, name: str) -> None:
        """Make an image of a folder."""
        container = self("from", "scratch")
        self("copy", container, str(tree), "/")
        self("commit", "--rm", container, name)

    def mounted(self, image: str) -> Path:
        """Return the folder of a new container's file system."""
        return Path(self("mount", self("from", "--pull-never", image)))


def make_base(base: Path) -> Path | None:
    """Return a small Debian in which `python -m pip` works as it does here; None if its packages are out of reach."""
    packages = "--include=python3,python3-venv,python3-pip,ca-certificates"
    made = subprocess.run(
        ["debootstrap", "--variant=minbase", packages, "bookworm", base], check=False, stdout=subprocess.DEVNULL
    )
    if made.returncode:
        return None
    (base / "usr" / "bin" / "python").symlink_to("python3")
    for mark in base.glob("usr/lib/python3*/EXTERNALLY-MANAGED"):
        mark.unlink()
    for package in base.glob("var/cache/apt/archives/*.deb"):
        package.unlink()
    for path in ("etc/pip.conf", "etc/ssl/certs/ca-certificates.crt"):
        if Path("/", path).is_file():
            shutil.copy(Path("/", path), base / path)
    return base


def size(root: Path) -> int:
    """Return how many bytes the files in a tree have."""
    counted = subprocess.run(["du", "-s", "-x", "-b", root], check=True, capture_output=True, text=True)
    return int(counted.stdout.split()[0])


def use(root: Path, config: dict[str, Any]) -> None:
    """Start the image's own command, ask it as people do, and stop it as Docker does."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = [*config["Env"], f"BINSIGHT_PORT={port}", "BINSIGHT_HOST=127.0.0.1", "BINSIGHT_DEADLINE=60"]
    refused = subprocess.run(inside(root, config, variables, ["touch", "/data/file"]), check=False, capture_output=True)
    assert b"Read-only file system" in refused.stderr, refused

    with running(inside(root, config, variables, config["Entrypoint"] + config["Cmd"])) as server:
        healthy = inside(root, config, variables, config["Healthcheck"]["Test"][1:])
        wait_until(lambda: subprocess.run(healthy, check=False, capture_output=True).returncode == 0, server)
        owner = Path(f"/proc/{server.pid}").stat()
        assert (owner.st_uid, owner.st_gid) == (10001, 10001), owner

        with urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as page:
            assert "binsight" in page.read().decode()
        assert answer(send(port))["predicted_category"] == "plastic_bottles"

        waiting = [send(port) for _ in range(4)]
        received = f'binsight_stage_seconds_count{{stage="read"}} {1 + len(waiting)}.0'
        wait_until(lambda: received in metrics(port), server)
        server.send_signal(signal.SIGTERM)
        assert {answer(one)["predicted_category"] for one in waiting} == {"plastic_bottles"}
        assert server.wait(PATIENCE_S) == 0, server.returncode


def inside(root: Path, config: dict[str, Any], variables: list[str], command: list[str]) -> list[str]:
    """Return what runs a command in a container: its root read-only, its user, its variables and no others."""
    return ["unshare", "--mount", "bash", "-c", CONTAINER, str(root), config["User"], *variables, *command]


@contextmanager
def running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Give a process that is gone afterwards."""
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(condition: Any, server: subprocess.Popen[bytes]) -> None:
    """Wait for something while the server runs."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert server.poll() is None, f"the server ended with {server.returncode}"
        assert time.monotonic() < end, f"not within {PATIENCE_S} s"
        time.sleep(0.1)


def send(port: int) -> HTTPConnection:
    """Send a photo; its answer is still to be read."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", "/predict", PHOTO, {"Content-Type": "image/jpeg"})
    return connection


def answer(connection: HTTPConnection) -> Any:
    """Return the answer to a photo that was sent."""
    got = connection.getresponse()
    body = got.read()
    assert got.status == 200, body
    return json.loads(body)


def metrics(port: int) -> str:
    """Return what Prometheus would read."""
    with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE_S) as got:
        return got.read().decode()


if __name__ == "__main__":
    main()
