"""What keeping photos for labelling costs: `/predict` with and without `--loop`, in turn, in one process.

    python benchmarks/loop.py PHOTO... [--rounds 10]

Prints CPU milliseconds of a photo for both, and the share of the throughput that is left. The photos are sent again and
again; those that are kept are encoded and written once, in the first round, which is not measured: in use they are few.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from binsight.serving.app import create_app
from binsight.serving.keeping import Keeper
from binsight.serving.settings import Settings


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    photos = [path.read_bytes() for path in options.photos]
    with tempfile.TemporaryDirectory() as folder:
        apps = {
            "without": create_app(Settings(access_log=False)),
            "with": create_app(Settings(access_log=False, loop_dir=Path(folder))),
        }
        cpu = dict.fromkeys(apps, 0.0)
        for number in range(options.rounds + 1):
            for name, app in apps.items():
                client, begin = app.test_client(), time.process_time()
                for photo in photos:
                    assert client.post("/predict", data=photo, content_type="image/jpeg").status_code == 200  # noqa: S101
                if number:  # the first round warms up
                    cpu[name] += time.process_time() - begin
            if number == 0:
                await_writing(apps["with"].extensions["binsight"].keeper)
        kept = len(list(Path(folder).glob("photos/*/*.jpg")))
        for app in apps.values():
            app.extensions["binsight"].drain(10)
    total = options.rounds * len(photos)
    for name, seconds in cpu.items():
        print(f"{name} --loop: {1000 * seconds / total:.2f} ms of CPU a photo")
    print(f"throughput kept: {cpu['without'] / cpu['with']:.1%} ({kept} photos kept of {len(photos)} different)")


def await_writing(keeper: Keeper) -> None:
    """Wait until all that is kept is on disk."""
    while keeper.waiting:
        time.sleep(0.1)
    time.sleep(1)  # the last of them is being written


if __name__ == "__main__":
    main()
