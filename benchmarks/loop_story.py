"""The closed loop from end to end, with a real server: noticed, labelled, retrained, proven, promoted, rolled back.

    python benchmarks/loop_story.py OLD --usual DATA --new DATA --new not-waste=FOLDER [--later DATA] [--plot story.png]

OLD is a bundle that has never seen the photos. 1,000 usual photos, then `--photos` of the new sources are sent to
`binsight serve --registry … --loop …`; three simulated labellers, wrong in 2 %, answer what the server asks at
`/label/next`; the rest is what a person would type. DATA is a folder per class, a manifest, or CLASS=FOLDER.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from dataclasses import replace as changed
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import numpy as np

from binsight.adapt.heads import read_heads, write_heads
from binsight.bundle import load_bundle, write_bundle
from binsight.dataset import scan
from binsight.imaging import stored_jpeg
from binsight.loop.counts import Counts
from binsight.probability.scores import LinearHead

MISTAKES = 0.02
CLIENTS = 4
ALARM = 8
IDLE_S = 2.0
STEP = 25  # photos in the shadow between two looks
SWAP = 150  # photos that are sent while the model is exchanged
LABELLERS = ("ada", "bob", "eve")
OTHERS = {"not-waste": "not_waste"}


@dataclass
class Photo:
    """A photo, and what it shows."""

    data: bytes
    truth: str


@dataclass
class Story:
    """What the story needs, and what it has noted: figures, and (photos sent, value) of what is drawn."""

    folder: Path
    port: int
    keys: dict[str, str]
    keep_random: str
    truths: dict[str, str] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    sent: int = 0
    series: dict[str, list[tuple[int, float]]] = field(default_factory=dict)
    begin: float = field(default_factory=time.monotonic)
    lock: threading.Lock = field(default_factory=threading.Lock)
    mine: threading.local = field(default_factory=threading.local)

    @property
    def loop(self) -> Path:
        """The loop's folder."""
        return self.folder / "loop"

    @property
    def models(self) -> Path:
        """The registry."""
        return self.folder / "models"

    def tell(self, text: str) -> None:
        """Print what happened, and when."""
        print(f"[{time.monotonic() - self.begin:6.0f} s, {self.sent:,} photos] {text}", flush=True)

    def connection(self) -> HTTPConnection:
        """This thread's connection; it stays open while it is used, and the server closes those that are not."""
        mine = self.mine
        if not hasattr(mine, "connection"):
            mine.connection = HTTPConnection("127.0.0.1", self.port, timeout=120)
        elif time.monotonic() - mine.used > IDLE_S:
            mine.connection.close()
        mine.used = time.monotonic()
        found: HTTPConnection = mine.connection
        return found

    def call(self, method: str, path: str, key: str, body: Any = None) -> Any:
        """Ask the server; the JSON of its answer."""
        connection = self.connection()
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "X-API-Key": self.keys[key],
            "Content-Type": "application/json",
            "Content-Length": str(len(data or b"")),
        }
        connection.request(method, path, data, headers)
        answer = connection.getresponse()
        text = answer.read()
        if answer.status >= 300 and answer.status != 409:
            raise SystemExit(f"{method} {path}: {answer.status} {text[:300]!r}")
        return json.loads(text)

    def run(self, *arguments: object, codes: tuple[int, ...] = (0,)) -> str:
        """Type a command."""
        shown = " ".join(map(str, arguments)).replace(f"{self.folder}/", "")
        begin = time.monotonic()
        done = subprocess.run([*command(), *map(str, arguments)], capture_output=True, text=True, check=False)
        if done.returncode not in codes:
            raise SystemExit(f"binsight {shown}: {done.returncode}\n{done.stdout}{done.stderr}")
        self.tell(f"$ binsight {shown}  # {time.monotonic() - begin:.0f} s, exit code {done.returncode}")
        print(done.stdout, end="", flush=True)
        return done.stdout

    def note(self, name: str, value: float) -> None:
        """Keep a value to be drawn."""
        self.series.setdefault(name, []).append((self.sent, value))


def command() -> list[str]:
    """How binsight is called."""
    return [sys.executable, "-m", "binsight"]


def main() -> None:
    """Tell the story."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old")
    parser.add_argument("--usual", action="append", required=True)
    parser.add_argument("--new", action="append", required=True)
    parser.add_argument("--later", action="append", default=[], help="further photos, for the shadow")
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--first", type=int, default=1000, help="usual photos before")
    parser.add_argument("--keep-random", default="6000/week", help="as of binsight serve")
    parser.add_argument("--leave-out", default="glass,textiles", help="classes the model does not have")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    random.seed(0)
    without = set(options.leave_out.split(","))
    usual, new = read_photos(options.usual, without), read_photos(options.new, without)
    later = new[options.photos :] + read_photos(options.later, without)
    with tempfile.TemporaryDirectory() as folder:
        story = prepare(Path(folder), options, {id(p): p for p in (*usual, *new, *later)}.values())
        server = serve(story)
        try:
            tell(story, list(itertools.islice(itertools.cycle(usual), options.first)), new[: options.photos], later)
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)
        story.tell(f"answers by status: {dict(story.statuses)}")
        if options.plot:
            draw(story, options.plot)


def read_photos(places: list[str], without: set[str]) -> list[Photo]:
    """The photos of data sets, in an order of chance."""
    names = {"cardboard": "paper_waste", "paper": "paper_waste", "metal": "metal_cans", "plastic": "plastic_bottles"}
    photos = []
    for place in places:
        name, is_class, folder = place.partition("=")
        if is_class:
            photos += [Photo(path.read_bytes(), name) for path in sorted(Path(folder).iterdir())]
            continue
        found = scan(place)
        photos += [
            Photo(found.file(s).read_bytes(), names.get(s.class_id, s.class_id))
            for s in found
            if s.error is None and s.class_id not in without
        ]
    random.shuffle(photos)
    return photos


def prepare(folder: Path, options: argparse.Namespace, photos: Any) -> Story:
    """Registry, keys, and what each photo is by the name that it will have in the queue."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys, lines = {}, []
    for name in (*LABELLERS, "boss"):
        keys[name] = hashlib.sha256(os.urandom(16)).hexdigest()
        lines.append(f"{name}:{hashlib.sha256(keys[name].encode()).hexdigest()}\n")
    (folder / "labellers").write_text("".join(lines[:-1]))
    (folder / "admins").write_text(lines[-1])
    story = Story(folder, port, keys, options.keep_random)
    for photo in photos:
        story.truths[hashlib.sha256(stored_jpeg(photo.data)).hexdigest()] = OTHERS.get(photo.truth, photo.truth)
    story.run("registry", "add", story.models, options.old)
    return story


def serve(story: Story) -> subprocess.Popen[bytes]:
    """Start the server, and wait until it answers."""
    arguments = ["serve", "--port", story.port, "--registry", story.models, "--loop", story.loop,
                 "--label-keys", story.folder / "labellers", "--admin-keys", story.folder / "admins",
                 "--keep-random", story.keep_random, "--keep-review", "1000/day", "--no-access-log"]  # fmt: skip
    process = subprocess.Popen([*command(), *map(str, arguments)], stderr=(story.folder / "log").open("wb"))
    while process.poll() is None:
        try:
            connection = HTTPConnection("127.0.0.1", story.port, timeout=5)
            connection.request("GET", "/health/ready")
            if connection.getresponse().status == 200:
                return process
        except OSError:
            pass
        time.sleep(0.2)
    raise SystemExit((story.folder / "log").read_text())


def tell(story: Story, usual: list[Photo], new: list[Photo], later: list[Photo]) -> None:
    """The story."""
    send(story, usual)
    story.tell("the usual photos were sent")
    send(story, new)
    label_all(story)
    story.run("loop", "drift", story.loop, codes=(0, 1))
    story.run("loop", "status", story.loop)
    story.run("loop", "accuracy", story.loop)
    story.run("retrain", story.loop, "--registry", story.models, "-q")
    evidence = shadow(story, later)
    story.tell(f"the shadow: {json.dumps(evidence)}")
    story.run(
        "gate",
        "challenger",
        "--against",
        "champion",
        "--data",
        story.loop,
        "--registry",
        story.models,
        "-q",
        codes=(0, 1),
    )
    rest = later[-SWAP:]
    during(story, rest, lambda: promote(story))
    story.run("registry", "add", story.models, break_model(story))
    during(
        story, rest, lambda: story.run("registry", "promote", story.models, "challenger", "--override", "to break it")
    )
    watch(story, new)
    story.run("registry", "show", story.models)


def promote(story: Story) -> None:
    """Have the challenger promoted; the registry refuses what the gate has not let pass."""
    answer = story.call("POST", "/admin/models/waste8/promote", "boss")
    story.tell(f"{'refused' if 'code' in answer else 'promoted'}: {answer}")


def send(story: Story, photos: list[Photo], *, until: Any = lambda: False) -> None:
    """Send photos over several connections; every 25 the watch over the review rate is noted."""

    def post(photo: Photo) -> None:
        if until():
            return
        connection = story.connection()
        connection.request("POST", "/predict", photo.data, {"Content-Type": "image/jpeg"})
        answer = connection.getresponse()
        answer.read()
        with story.lock:
            story.statuses[answer.status] += 1
            story.sent += 1
            if story.sent % 25 == 0:
                note_drift(story)
            if story.sent % 500 == 0:
                story.tell("are sent")

    with ThreadPoolExecutor(CLIENTS) as clients:
        for _ in clients.map(post, photos):
            pass


def note_drift(story: Story) -> None:
    """Keep where the watch over the first model stands, and say when it speaks."""
    drifts = Counts(story.loop).drift() if (story.loop / "counts.sqlite3").is_file() else []
    if len(drifts) != 1:
        return
    if drifts[0].drifted and all(value < ALARM for _, value in story.series.get("CUSUM", [])):
        story.tell(f"drift is noticed: usual at most {drifts[0].p0:.1%} to review")
    story.note("CUSUM", drifts[0].sum)


def label_all(story: Story) -> int:
    """Let the labellers answer, all at the same time, until nothing is open; the number of labels."""
    classes = [entry["id"] for entry in story.call("GET", "/label/status", "ada")["classes"]]
    begin, labels = time.monotonic(), 0
    with ThreadPoolExecutor(len(LABELLERS)) as people:
        while given := sum(people.map(lambda who: label(story, who, classes), LABELLERS)):
            labels += given
    story.tell(f"{labels:,} labels were given in {time.monotonic() - begin:.0f} s")
    return labels


def label(story: Story, who: str, classes: list[str]) -> int:
    """Let one labeller answer until there is nothing more for them; the number of labels."""
    labels = 0
    while items := story.call("POST", "/label/next", who, {"count": 20})["items"]:
        for item in items:
            truth = story.truths[item["id"]]
            chance = random.Random(who + item["id"])  # noqa: S311 - no secret
            answer = chance.choice([c for c in classes if c != truth]) if chance.random() < MISTAKES else truth
            body = {"answer": answer, "event": os.urandom(8).hex(), "ms": 800}
            story.call("POST", f"/label/items/{item['id']}", who, body)
            labels += 1
    return labels


def shadow(story: Story, later: list[Photo]) -> Any:
    """Send photos that both models see, and label those on which they differ, until it is proven or none is left."""
    evidence: Any = None
    for first in range(0, len(later) - SWAP, STEP):
        send(story, later[first : min(first + STEP, len(later) - SWAP)])
        await_shadow(story)
        label_all(story)
        evidence = story.call("GET", "/admin/models/waste8/evidence", "boss")["comparisons"][-1]
        story.note("evidence", evidence["evidence"])
        if evidence["evidence"] >= 20:
            break
    return evidence


def await_shadow(story: Story) -> None:
    """Wait until the shadow has looked at what it was offered."""
    while story.call("GET", "/admin/models/waste8/evidence", "boss")["waiting"]:
        time.sleep(0.5)
    time.sleep(1)  # what it kept is being written


def during(story: Story, photos: list[Photo], change: Any) -> None:
    """Change something while photos are sent; no answer may be anything but 200."""
    worker = threading.Thread(target=send, args=(story, photos))
    worker.start()
    change()
    worker.join()


def break_model(story: Story) -> Path:
    """The champion with two classes exchanged."""
    source = load_bundle(
        story.models / "models" / f"{json.loads((story.models / 'aliases.json').read_text())['champion']}.zip"
    )
    heads = read_heads(source.read_model())
    order = np.arange(len(heads.categories.bias))
    order[[0, 3]] = order[[3, 0]]
    worse = changed(heads, categories=LinearHead(heads.categories.weight[:, order], heads.categories.bias[order]))
    files = {name: source.read(name) for name in source.manifest.files}
    files["model.onnx"] = write_heads(source.read_model(), worse, None)
    return write_bundle(story.folder / "broken.zip", changed(source.manifest, version="broken"), files)


def watch(story: Story, photos: list[Photo]) -> None:
    """Send photos until the server has gone back by itself."""
    aliases = story.models / "aliases.json"
    broken = json.loads(aliases.read_text())["champion"]

    def gone() -> bool:
        return bool(json.loads(aliases.read_text())["champion"] != broken)

    begin = story.sent
    for first in range(0, len(photos), 50):
        send(story, photos[first : first + 50], until=gone)
        await_shadow(story)
        if gone():
            break
        label_all(story)
    time.sleep(5)
    story.tell(f"{'rolled back by itself' if gone() else 'NOT rolled back'} after {story.sent - begin} photos")


def draw(story: Story, path: Path) -> None:
    """Draw what was noted, and write it as a table beside the picture."""
    import matplotlib.pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(1, len(story.series), figsize=(11, 3.2))
    limits = {"CUSUM": ALARM, "evidence": 20}
    for axis, (name, points) in zip(np.atleast_1d(axes), story.series.items(), strict=True):
        axis.plot(*zip(*points, strict=True), color="#1f6f50")
        axis.axhline(limits[name], color="#b3261e", linestyle="--")
        axis.set(xlabel="photos sent", ylabel=name, yscale="linear" if name == "CUSUM" else "log")
        axis.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    with path.with_suffix(".csv").open("w", newline="") as file:
        csv.writer(file).writerows((name, *point) for name, points in story.series.items() for point in points)


if __name__ == "__main__":
    main()
