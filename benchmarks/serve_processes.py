"""Servers for `benchmarks/serve.py`: binsight's own, and what it is compared with."""

from __future__ import annotations

import importlib.util
import io
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from binsight.bundle import resolve_bundle
from binsight.predictor import available_cores

# The original's structure: save the upload under its name, load it, classify, delete. Names collide; here they do not.
MINIMAL = """
import os, sys, tempfile, uuid
import numpy, onnxruntime
from flask import Flask, request
from PIL import Image
from waitress import serve
model, port, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(model, options)
height, width = session.get_inputs()[0].shape[1:3]
app, folder = Flask(__name__), tempfile.mkdtemp()
@app.post("/predict")
def predict():
    path = os.path.join(folder, uuid.uuid4().hex)
    request.files["file"].save(path)
    photo = numpy.asarray(Image.open(path).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))
    logits = session.run(["logits"], {"images": photo[None]})[0][0]
    os.remove(path)
    return {"scores": (numpy.exp(logits) / numpy.exp(logits).sum()).tolist()}
@app.get("/health")
def health():
    return {"status": "ok"}
serve(app, host="127.0.0.1", port=port, threads=8, _quiet=True)
"""
LITSERVE = """
import sys
import numpy, onnxruntime
import litserve
from PIL import Image
model, port, threads, workers = sys.argv[1], *(int(a) for a in sys.argv[2:5])
class Api(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(model, options)
        self.height, self.width = self.session.get_inputs()[0].shape[1:3]
    def decode_request(self, request):
        photo = Image.open(request["file"].file).convert("RGB")
        return numpy.asarray(photo.resize((self.width, self.height), Image.Resampling.BILINEAR))
    def predict(self, photo):
        logits = self.session.run(["logits"], {"images": photo[None]})[0][0]
        return numpy.exp(logits) / numpy.exp(logits).sum()
    def encode_response(self, scores):
        return {"scores": scores.tolist()}
if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", workers_per_device=workers)
    server.run(host="127.0.0.1", port=port, generate_client_file=False, log_level="error")
"""
# binsight's own application under other WSGI servers, with as many threads as its own server has.
WSGI = {
    "waitress": """
import waitress
waitress.serve(make(), host="127.0.0.1", port=port, threads=162, _quiet=True, connection_limit=5000,
               asyncore_use_poll=True, inbuf_overflow=100_000_000)""",
    "cheroot": """
from cheroot.wsgi import Server
Server(("127.0.0.1", port), make(), numthreads=162, max=162, request_queue_size=1024).safe_start()""",
    "hypercorn": """
import asyncio
from hypercorn.asyncio import serve
from hypercorn.config import Config
config = Config()
config.bind, config.backlog, config.loglevel = [f"127.0.0.1:{port}"], 1024, "ERROR"
config.wsgi_max_body_size = 64_000_000
asyncio.run(serve(make(), config, mode="wsgi"))""",
    "gunicorn": """
from gunicorn.app.base import BaseApplication
class Run(BaseApplication):
    def load_config(self):
        for key, value in dict(bind=f"127.0.0.1:{port}", worker_class="gthread", threads=162, loglevel="error").items():
            self.cfg.set(key, value)
    def load(self):
        return make()
Run().run()""",
    "granian": """
from granian import Granian
from granian.constants import Interfaces
Granian("app", address="127.0.0.1", port=port, interface=Interfaces.WSGI, blocking_threads=162, log_enabled=False
        ).serve(target_loader=make, wrap_loader=False)""",
}
WSGI_START = """
import sys
from binsight.serving.app import create_app
from binsight.serving.settings import Settings
def make():
    return create_app(Settings(access_log=True))
port = int(sys.argv[2])
if __name__ == "__main__":
"""


def rivals() -> dict[str, list[str]]:
    """Name → command of each server that is installed, our own first."""
    model, cores = str(resolve_bundle("waste8") / "model.onnx"), available_cores()
    commands: dict[str, list[str]] = {"binsight": []}
    if importlib.util.find_spec("waitress"):
        commands["Flask + waitress, all cores a photo"] = [MINIMAL, model, "{port}", str(cores)]
        commands["Flask + waitress, one core a photo"] = [MINIMAL, model, "{port}", "1"]
    if importlib.util.find_spec("litserve"):
        commands["LitServe, 1 worker, all cores"] = [LITSERVE, model, "{port}", str(cores), "1"]
        commands[f"LitServe, {cores} workers, one core each"] = [LITSERVE, model, "{port}", "1", str(cores)]
    return commands


def wsgi_servers() -> dict[str, list[str]]:
    """Name → command of each WSGI server that is installed, our own first."""
    commands: dict[str, list[str]] = {"binsight": []}
    for name, text in WSGI.items():
        if importlib.util.find_spec(name):
            body = "".join(f"    {line}\n" for line in text.strip().splitlines())
            commands[name] = [WSGI_START + body, "-", "{port}"]
    return commands


@contextmanager
def server(*command: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server process, from when it answers until the end of the block."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, *command], stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_until_ready(process, port, log)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: io.BufferedRandom) -> None:
    for _ in range(600):
        ready = _status(port, "/health/ready")
        if ready == 200 or (ready == 404 and _status(port, "/health") == 200):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    log.seek(0)
    raise SystemExit(f"a server did not start: {log.read().decode(errors='replace')[-2000:]}")


def _status(port: int, path: str) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code
    except OSError:
        return 0


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return int(sock.getsockname()[1])


@contextmanager
def binsight(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """`binsight serve` as it is by default, with its access log."""
    port = free_port()
    with server("-m", "binsight", "serve", "--port", str(port), *arguments, port=port) as process:
        yield port, process


def resident_mb(process: subprocess.Popen[bytes]) -> float:
    """Resident memory of a process; Linux only."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextmanager
def started(command: list[str]) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A server of `rivals` or `wsgi_servers`, or binsight with these flags: its port and process."""
    if not command or command[0].startswith("--"):
        with binsight(*command) as running:
            yield running
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "app.py")
        script.write_text(command[0])
        arguments = [argument.format(port=port) for argument in command[1:]]
        with server(str(script), *arguments, port=port) as process:
            yield port, process


def family_mb(process: subprocess.Popen[bytes]) -> float:
    """Memory of a process and its children; what they share counts once (proportional set size)."""
    texts = _family(process, "smaps_rollup")
    return sum(int(text.split("Pss:")[1].split()[0]) for text in texts) / 1024


def family_cpu_s(process: subprocess.Popen[bytes]) -> float:
    """Processor time of a process and its children, in seconds."""
    ticks = sum(sum(map(int, text.rpartition(")")[2].split()[11:13])) for text in _family(process, "stat"))
    return ticks / os.sysconf("SC_CLK_TCK")


def _family(process: subprocess.Popen[bytes], name: str) -> list[str]:
    """What the system says of a process and its children."""
    group, texts = os.getpgid(process.pid), []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if os.getpgid(int(folder.name)) == group:
                texts.append((folder / name).read_text())
    return texts
