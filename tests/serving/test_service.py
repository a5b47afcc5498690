"""What a server sets up, and how it uses memory."""

from __future__ import annotations

import subprocess
import sys

from binsight.predictor import available_cores
from binsight.serving.service import Service
from binsight.serving.settings import Settings


def test_one_worker_more_than_cores_unless_told_otherwise():
    """So that a core has work while a photo is between decoder, network and answer."""
    assert Service.create(Settings()).batcher.workers == available_cores() + 1
    assert Service.create(Settings(workers=3)).batcher.workers == 3


def test_threads_share_heaps():
    """Twenty threads that allocate at the same time make no heap of 64 MB of address space each."""
    script = """
import sys, threading
from binsight.serving.memory import keep_heaps_few
if sys.argv[1] == "few":
    keep_heaps_few()
gate = threading.Barrier(20)
def work():
    gate.wait()
    kept = [bytearray(5000) for _ in range(50)]
    gate.wait()
threads = [threading.Thread(target=work) for _ in range(20)]
[t.start() for t in threads], [t.join() for t in threads]
maps = open("/proc/self/maps").read().splitlines() if sys.platform == "linux" else []
sizes = [int(b, 16) - int(a, 16) for a, b in (line.split()[0].split("-") for line in maps if "---p" in line)]
print(sum(60 << 20 < size <= 64 << 20 for size in sizes))
"""
    heaps = {
        kind: int(subprocess.run([sys.executable, "-c", script, kind], check=True, capture_output=True).stdout)
        for kind in ("few", "many")
    }
    assert heaps["few"] <= 1
    assert heaps["few"] <= heaps["many"]
