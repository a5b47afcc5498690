"""What a server sets up, and how it uses memory."""

from __future__ import annotations

import subprocess
import sys

from tests.serving.test_models import remove, replace

from binsight.predictor import available_cores
from binsight.serving import service
from binsight.serving.service import Service
from binsight.serving.settings import Settings


def test_one_worker_more_than_cores_unless_told_otherwise():
    """So that a core has work while a photo is between decoder, network and answer."""
    assert Service.create(Settings()).queue.workers == available_cores() + 1
    assert Service.create(Settings(workers=3)).queue.workers == 3


def test_a_lone_photo_gets_no_more_threads_than_workers(shared_bundle, monkeypatch):
    """Who limits the workers limits the processor: one worker, one thread, however many cores there are."""
    monkeypatch.setattr(service, "available_cores", lambda: 4)
    for workers, threads in ((1, 1), (3, 3), (8, 4), (0, 4)):
        made = Service.create(Settings(models=(str(shared_bundle),), workers=workers))
        made.store.load_all()
        assert made.store.get().wide.threads == threads


def test_a_signal_does_not_undo_a_rollback(bundle, caplog):
    """SIGHUP says reload; it is logged that the present version stays, and not counted as a bad bundle."""
    made = Service.create(Settings(models=(str(bundle),)))
    made.store.load_all()
    replace(bundle, "2.0.0")
    made.reload_all()
    made.store.rollback("tiny")
    made.reload_all()
    assert made.store.get().version == "1.0.0"
    assert "2.0.0 was rolled back and version 1.0.0 stays" in caplog.text
    assert 'result="refused"' not in made.telemetry.render().decode()


def test_a_signal_during_another_reload_is_no_refused_bundle(bundle, monkeypatch, caplog):
    """It is counted as what it is; a bundle that is not sound still counts as refused."""
    made = Service.create(Settings(models=(str(bundle),)))
    made.store.load_all()
    with made.store._changing:
        made.reload_all()
    metrics = made.telemetry.render().decode()
    assert 'binsight_model_changes_total{model="tiny",result="busy"} 1.0' in metrics
    assert 'result="refused"' not in metrics
    remove(bundle)
    made.reload_all()
    assert 'binsight_model_changes_total{model="tiny",result="refused"} 1.0' in made.telemetry.render().decode()


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
