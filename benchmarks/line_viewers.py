"""What it costs a line's server to be looked at: processor time with nobody, one and many viewers of its dashboard.

    python benchmarks/line_viewers.py [--viewers 100] [--seconds 6]

The line has 20 pictures of 640 x 480 and 20 pieces a second. Viewers read all that comes, in a process of their own;
the figures are the server's processor time, as a share of one core.
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.line.watched import WatchedLine
from tests.tiny_bundle import tiny_bundle

from binsight.line.engine import Picture
from binsight.line.records import Blob, Box, Frame
from binsight.line.track import Track
from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

PHOTO = Path(__file__).resolve().parents[1] / "examples/photos/plastic_bottle.jpg"


def view(port: int, viewers: int) -> None:
    """Read what comes, for ever."""
    sockets = []
    for _ in range(viewers):
        sockets.append(socket.create_connection(("127.0.0.1", port)))
        sockets[-1].sendall(b"GET /lines/line1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    print("ready", flush=True)
    for each in sockets[1:]:
        threading.Thread(target=lambda s=each: [None for _ in iter(lambda: s.recv(1 << 20), b"")], daemon=True).start()
    while sockets[0].recv(1 << 20):
        pass


def run_line(line: WatchedLine, stop: threading.Event) -> None:
    """Show frames and let pieces come, in real time."""
    with Image.open(PHOTO) as photo:
        image = np.asarray(photo.convert("RGB").resize((640, 480)))
    number = 0
    while not stop.wait(0.05):
        number += 1
        piece = line.piece(status="commanded")
        if number % 2:
            for status in ("acknowledged", "confirmed"):
                line.change(replace(piece, status=status))
        track = Track(1, (0.0, 50.0), (0.0, 50.0), 0.0, blob=Blob(Box(10, 10, 90, 90), 900.0))
        frame = Frame(np.roll(image, 7 * number, axis=1), line.clock.now(), number)
        line.engine.picture = Picture(frame, (track,), {1: piece})


def measure(port: int, viewers: int, seconds: float) -> float:
    """The share of a core that this process takes."""
    command = [sys.executable, __file__, "--port", str(port), "--viewers", str(viewers)]
    process = None if viewers == 0 else subprocess.Popen(command, stdout=subprocess.PIPE)
    if process is not None and process.stdout is not None:
        process.stdout.readline()
    time.sleep(1)
    cpu, wall = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    if process is not None:
        process.kill()
        process.communicate()
    return share


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.port:
        view(options.port, options.viewers)
        return
    with tempfile.TemporaryDirectory() as folder:
        line, stop = WatchedLine(Path(folder)), threading.Event()
        model = tiny_bundle(Path(folder) / "tiny")
        server = RunningServer(Settings(models=(str(model),), port=0, access_log=False), lines=[line.monitor])
        server.load()
        thread = threading.Thread(target=run_line, args=(line, stop), daemon=True)
        thread.start()
        for viewers in (0, 1, options.viewers):
            share = measure(int(server.url.rpartition(":")[2]), viewers, options.seconds)
            print(f"{viewers:4d} viewers: {share:.1%} of a core", flush=True)
        stop.set()
        thread.join()
        server.stop()
        line.close()


if __name__ == "__main__":
    main()
