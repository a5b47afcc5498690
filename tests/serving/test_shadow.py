"""Models in the shadow: they see live photos and harm no answer; a new champion that is worse goes back by itself."""

from __future__ import annotations

import io
import threading
import time

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image
from tests.serving.conftest import service_of, upload
from tests.tiny_bundle import tiny_bundle, tiny_manifest, tiny_model

from binsight.loop.comparing import GONE, WINDOW, Compared
from binsight.loop.counts import FeatureDrift
from binsight.loop.labelling import Labelling
from binsight.loop.registry import Registry
from binsight.loop.sampling import Chances
from binsight.predictor import Prediction
from binsight.probability import Decision
from binsight.probability.mmd import Shift
from binsight.serving.keeping import Kept
from binsight.serving.security import new_key

ADMIN, STORED = new_key("boss")
HEADERS = {"Authorization": f"Bearer {ADMIN}"}


def swapped():
    """Return a network that takes red for green, and green for red."""
    model = tiny_model()
    for tensor in model.graph.initializer:
        if tensor.name == "head":
            tensor.CopyFrom(numpy_helper.from_array(4 * np.eye(3, dtype=np.float32)[[1, 0, 2]], "head"))
    return model


def failing():
    """Return a network that gives no numbers for photos that are redder than 0.9, so that a first run shows nothing."""
    model = tiny_model(outputs=("logits", "biodegradable_logit", "attention", "features", "unfamiliarity"))
    graph = model.graph
    graph.initializer.append(numpy_helper.from_array(np.array([0.9, 2, 2], np.float32), "most"))
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.float32), "zero"))
    (last,) = [node for node in graph.node if node.output[0] == "logits"]
    last.output[0] = "plain"
    graph.node.extend([
        helper.make_node("Sub", ["most", "features"], ["below"]),
        helper.make_node("Sqrt", ["below"], ["root"]),
        helper.make_node("Mul", ["root", "zero"], ["nothing"]),
        helper.make_node("Add", ["plain", "nothing"], ["logits"]),
    ])  # fmt: skip
    onnx.checker.check_model(model)
    return model


NETWORKS = {"same": tiny_model, "swapped": swapped, "failing": failing}


@pytest.fixture(scope="module")
def bundles(tmp_path_factory):
    """Return bundles by what they are: a champion, and challengers."""
    folder = tmp_path_factory.mktemp("bundles")
    made = {
        kind: tiny_bundle(folder / kind, network(), tiny_manifest(version=f"2.0.0-{kind}"))
        for kind, network in NETWORKS.items()
    }
    return {"champion": tiny_bundle(folder / "champion"), **made}


@pytest.fixture
def start(make_app, bundles, tmp_path):
    """Return a function that starts a server with a challenger of that kind."""

    def make(challenger, **values):
        registry = Registry(tmp_path / "registry", create=True)
        for kind in filter(None, ("champion", challenger) if not registry.models() else ()):
            registry.add(bundles[kind], by="ada")
        given = {"registry_dir": registry.directory, "loop_dir": tmp_path / "loop", "admin_keys": (STORED,)}
        app = make_app(**given | {"models": ("waste8",), "keep_random": "0", "keep_review": "0"} | values)
        service_of(app).shadow.look()
        return app

    return make


def photo(number, colour="red"):
    """Return the file of a photo of its own, in which a colour stands out."""
    pixels = np.random.default_rng(number).integers(0, 120, (24, 20, 3))
    pixels[..., ("red", "green", "blue").index(colour)] += 120
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def bright(number):
    """Return the file of a photo that is redder than 0.9."""
    file = io.BytesIO()
    Image.new("RGB", (24, 20), (255, number, 0)).save(file, "PNG")
    return file.getvalue()


def call(app, what, method="get"):
    """Return status and JSON of an admin call."""
    answer = getattr(app.test_client(), method)(f"/admin/models/tiny/{what}", headers=HEADERS)
    return answer.status_code, answer.json


def send(app, *photos, **headers):
    """Have photos classified; return the answers."""
    client = app.test_client()
    return [client.post("/predict", headers=headers, **upload(each)) for each in photos]


def wait(condition):
    """Wait until something is so, as long as it takes on a busy machine."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to be")


def seen(app, count):
    """Wait until the shadow has looked at so many photos, and return the newest comparison of them."""
    wait(lambda: sum(service_of(app).shadow.results.values()) >= count)
    return call(app, "evidence")[1]["comparisons"][0]


def served(app):
    """Return the version that answers."""
    return send(app, photo(999, "blue"))[0].json["model"]["version"]


def label(app, answer):
    """Let two people say of everything that it shows a certain class."""
    queue = service_of(app).keeper.queue
    for who in ("ada", "bob"):
        desk = Labelling(queue, ("red", "green", "blue"))
        for item in desk.next(who, count=1000):
            desk.answer(who, item.id, answer, event=f"{who}-{item.id}")


def test_a_challenger_sees_what_is_answered(start):
    """From the start on, as the ledger says; a photo on which the two differ is kept, and counts once labelled."""
    app = start("swapped")
    answers = send(app, photo(1), photo(2), photo(3, "blue"), photo(1))
    assert {a.json["model"]["version"] for a in answers} == {"1.0.0"}
    found = seen(app, 3)
    assert (found["kind"], found["photos"], found["differ"], found["open"], found["counted"]) == (
        "challenge", 3, 2, 2, found["counted"]
    )  # fmt: skip
    (line,) = [e for e in service_of(app).shadow.registry.ledger.read() if e.event == "shadow"]
    assert (line.details["by"], line.details["state"]) == ("server", "on")
    queue = service_of(app).keeper.queue
    assert len(list(queue.directory.glob("photos/*/*.jpg"))) == 2
    assert {queue.find(answers[i].json["kept"]["receipt"]) for i in (0, 1, 3)} == {
        path.stem for path in queue.directory.glob("photos/*/*.jpg")
    }
    label(app, "red")
    found = call(app, "evidence")[1]["comparisons"][0]
    assert (found["counted"], found["only_old_right"], found["only_new_right"]) == (3, 2, 0)
    assert found["evidence"] < 1


def test_what_must_not_be_kept_is_not_shown_to_it(start):
    """By request; nor what was deleted before it came to it; nor photos of another model."""
    app = start("swapped", models=("waste8",))
    shadow = service_of(app).shadow
    (answer,) = send(app, photo(1), **{"X-Binsight-Keep": "no"})
    assert "kept" not in answer.json
    kept = Kept(photo(2), "2", said(), Chances(0, 0), is_random=False, is_review=False, receipt="r", is_revoked=True)
    shadow.offer(kept)
    send(app, photo(3))
    assert seen(app, 1)["photos"] == 1
    assert len(list(service_of(app).keeper.queue.directory.glob("photos/*/*.jpg"))) == 1


def said(category="red"):
    """Return what a model says."""
    return Prediction(category, {category: 0.9}, "unknown", None, Decision("accept"), "x", "y", "tiny", "1.0.0")


def test_it_waits_while_photos_are_in_work(start, gate, monkeypatch):
    """It asks for a moment when none is, and takes none of them before."""
    app = start("same")
    service = service_of(app)
    (run,), queue, asked, looked = service.shadow.runs, service.queue, threading.Event(), []
    await_idle, look = queue.await_idle, run.look
    monkeypatch.setattr(queue, "await_idle", lambda s: asked.set() or await_idle(s))
    monkeypatch.setattr(run, "look", lambda *args: looked.append(gate.opened.is_set()) or look(*args))
    gate.hold(monkeypatch, service.model(None))
    busy = threading.Thread(target=send, args=(app, photo(1)))
    busy.start()
    assert gate.entered.acquire(timeout=20)
    service.shadow.offer(
        Kept(photo(2), "2", said(), Chances(0, 0), is_random=False, is_review=False, receipt="r")
    )  # fmt: skip
    assert asked.wait(20)
    gate.opened.set()
    busy.join(20)
    wait(lambda: len(looked) == 2)
    assert looked == [True, True]


def test_what_does_not_fit_is_dropped_and_counted(start, gate, monkeypatch):
    """Answers come all the same."""
    app = start("same")
    shadow = service_of(app).shadow
    gate.hold(monkeypatch, shadow.runs[0].model)
    send(app, photo(0))
    assert gate.entered.acquire(timeout=20)
    assert {a.status_code for a in send(app, *(photo(n) for n in range(1, 70)))} == {200}
    assert shadow.waiting <= 64
    assert shadow.results["dropped"] == 69 - 64
    text = app.test_client().get("/metrics").text
    assert 'binsight_shadow_total{result="dropped"} 5.0' in text
    gate.opened.set()


def test_photos_of_one_burst_count_once(start):
    """The same thing again, a little brighter."""
    app = start("same")
    base = Image.open(io.BytesIO(photo(1)))
    files = []
    for level in (1.0, 1.02, 1.04):
        file = io.BytesIO()
        base.point(lambda value, level=level: value * level).save(file, "PNG")
        files.append(file.getvalue())
    send(app, *files, photo(2))
    assert seen(app, 4)["photos"] == 2
    assert dict(service_of(app).shadow.results) == {"agree": 2, "again": 2}


def test_a_challenger_that_fails_harms_no_answer(start):
    """It counts as a mistake; after five in a row the shadow ends, and the ledger says why."""
    app = start("failing")
    answers = send(app, *(bright(20 * n) for n in range(6)))
    assert {a.status_code for a in answers} == {200}
    wait(lambda: service_of(app).shadow.results["failed"] >= 5)
    found = call(app, "evidence")[1]
    assert (found["shadow"], found["comparisons"][0]["outcome"]) == ([], "the network fails on photos")
    assert found["comparisons"][0]["differ"] >= 5
    assert service_of(app).shadow.registry.ledger.read()[-1].details["reason"] == "the network fails on photos"


def test_a_challenger_that_is_damaged_is_refused(start):
    """The champion answers; the reason is told."""
    app = start("same")
    registry = service_of(app).shadow.registry
    registry.path(registry.aliases.challenger).write_bytes(b"nothing")
    call(app, "shadow", "delete")
    status, found = call(app, "shadow", "post")
    assert (status, found["shadow"], len(found["refused"])) == (200, [], 1)
    assert served(app) == "1.0.0"


def test_a_damaged_registry_stops_no_answer(start):
    """It is told, and mended when the ledger is as it was."""
    app = start("same")
    ledger = service_of(app).shadow.registry.ledger.path
    whole = ledger.read_bytes()
    ledger.write_bytes(whole.replace(b"ada", b"eve"))
    assert call(app, "evidence")[1]["code"] == "ledger_away"
    assert served(app) == "1.0.0"
    ledger.write_bytes(whole)
    assert call(app, "evidence")[0] == 200


def test_who_may_do_what(start, shared_bundle):
    """A share, an end that stays, and what cannot be said."""
    app = start("same", models=(f"other={shared_bundle}",))
    assert call(app, "shadow?share=0.25", "post")[1]["shadow"] == ["tiny 2.0.0-same"]
    assert service_of(app).shadow.runs[0].trial.share == 0.25
    assert call(app, "shadow", "delete")[1]["comparisons"][0]["outcome"] == "ended by key:boss"
    assert call(app, "evidence")[1]["shadow"] == []
    for share in ("0", "2", "x", "nan"):
        assert call(app, f"shadow?share={share}", "post")[1]["code"] == "bad_parameter"
    assert app.test_client().post("/admin/models/tiny/shadow").status_code == 401
    assert app.test_client().get("/admin/models/other/evidence", headers=HEADERS).json["code"] == "conflict"


def test_without_a_challenger_there_is_no_shadow(start):
    """Until the command line adds one: it is noticed without a reload."""
    app = start(None)
    assert call(app, "shadow", "post")[1]["code"] == "conflict"
    assert call(app, "evidence")[1]["comparisons"] == []


def watched(start, kind, **values):
    """Return a server whose new champion is of that kind."""
    app = start(kind, **values)
    assert call(app, "promote?override=trust", "post")[0] == 200
    assert call(app, "evidence")[1]["comparisons"][0]["kind"] == "watch"
    return app


def test_a_new_champion_that_is_worse_goes_back(start, make_app):
    """By the labels; for good, with the reason in the ledger; other servers of the registry follow."""
    app = watched(start, "swapped")
    settings = service_of(app).settings
    other = make_app(
        models=("waste8",), registry_dir=settings.registry_dir, loop_dir=settings.loop_dir, admin_keys=(STORED,)
    )
    assert served(other) == served(app) == "2.0.0-swapped"
    send(app, *(photo(n) for n in range(14)))
    seen(app, 15)
    label(app, "red")
    wait(lambda: served(app) == "1.0.0" == served(other))
    ledger = service_of(app).shadow.registry.ledger.read()
    (line,) = [e for e in ledger if e.event == "rollback"]
    assert (line.details["by"], line.details["reason"][:18]) == ("server", "is worse, evidence")
    found = call(app, "evidence")[1]
    assert found["comparisons"][0]["outcome"].startswith("is worse")
    assert found["shadow"] == []
    text = "".join(server.test_client().get("/metrics").text for server in (app, other))
    assert text.count('binsight_model_changes_total{model="tiny",result="rolled_back"} 1.0') == 1


def test_a_new_champion_that_fails_goes_back_at_once(start):
    """At the first photo; who sent it is told, the next has its answer."""
    app = watched(start, "failing")
    assert send(app, photo(1))[0].status_code == 200
    assert send(app, bright(0))[0].status_code == 500
    wait(lambda: served(app) == "1.0.0")
    assert send(app, bright(0))[0].json["predicted_category"] == "red"


def test_going_back_to_a_damaged_model_is_tried_again(start, monkeypatch):
    """The champion stays meanwhile, however bad; the shadow goes on."""
    app = watched(start, "failing")
    shadow = service_of(app).shadow
    previous = shadow.registry.path(shadow.registry.aliases.previous)
    whole = previous.read_bytes()
    previous.write_bytes(whole[:-1])
    assert send(app, bright(0))[0].status_code == 500
    wait(lambda: shadow._retry_at > 0)
    assert (call(app, "evidence")[0], served(app)) == (200, "2.0.0-failing")
    previous.write_bytes(whole)
    monkeypatch.setattr(shadow, "_retry_at", 0.0)
    wait(lambda: served(app) == "1.0.0")


@pytest.mark.parametrize("fault", ["is slow", "agrees"])
def test_a_new_champion_that_is_slow_or_another_goes_back(start, fault):
    """By 200 photos."""
    app = watched(start, "same")
    (run,) = service_of(app).shadow.runs
    if fault == "is slow":
        run.times_s.extend([(0.01, 0.02)] * WINDOW)
    else:
        run.comparison.add([Compared(str(n), GONE if n % 4 else None, "red", "green") for n in range(WINDOW)])
    call(app, "evidence")
    assert served(app) == "1.0.0"
    assert service_of(app).shadow.registry.ledger.read()[-1].details["reason"].startswith(fault)


def test_both_models_are_timed_on_the_same_photos(start):
    """In turn, on one thread."""
    app = watched(start, "same")
    send(app, photo(1), photo(2))
    seen(app, 2)
    (run,) = service_of(app).shadow.runs
    wait(lambda: len(run.times_s) == 2)
    assert all(old >= 0 and new >= 0 for old, new in run.times_s)


def test_a_model_that_is_equal_stays(start):
    """And is watched on after a restart."""
    app = watched(start, "same")
    send(app, *(photo(n) for n in range(5)))
    assert seen(app, 5)["photos"] == 5
    service_of(app).drain(20)
    again = start("same")
    send(again, *(photo(n) for n in range(8)))
    found = seen(again, 8)
    assert (found["kind"], found["photos"], served(again)) == ("watch", 8, "2.0.0-same")
    assert service_of(again).shadow.results["again"] == 5
    service_of(again).drain(20)
    service_of(again).shadow.registry.rollback(by="ada", reason="no reason")  # while no server runs
    assert call(start("same"), "evidence")[1]["comparisons"][0]["outcome"] == "no reason"


def test_live_evidence_promotes_without_a_failed_request(start):
    """The gate's word, then the swap while photos come."""
    app = start("same")
    registry, (run,) = service_of(app).shadow.registry, service_of(app).shadow.runs
    run.comparison.add([Compared(str(n)) for n in range(1500)])
    found = call(app, "evidence")[1]["comparisons"][0]
    assert found["evidence"] >= found["needed"] == 20
    with registry.ledger.writing():
        registry.ledger.append("gate", challenger=run.trial.new, champion=run.trial.old, verdict="promote")
    stop, codes = threading.Event(), []

    def client():
        number = 0
        while not stop.is_set():
            number += 1
            codes.extend(a.status_code for a in send(app, photo(number)))

    busy = threading.Thread(target=client)
    busy.start()
    assert call(app, "promote", "post")[1]["result"] == "promoted"
    wait(lambda: len(codes) > 20)
    stop.set()
    busy.join(20)
    assert set(codes) == {200}
    assert served(app) == "2.0.0-same"


def test_metrics_of_the_loop(start):
    """Evidence, items, accuracy and drift, as the labels have them."""
    app = start("swapped", keep_random="1000000/week")
    send(app, *(photo(n) for n in range(4)))
    seen(app, 4)
    service_of(app).keeper.close(20)
    label(app, "red")
    call(app, "evidence")
    manifest, weeks = service_of(app).store.get().bundle.manifest, ((40, Shift(0.5, 0.001)), (35, None))
    for model in ("elsewhere 1.0.0", f"{manifest.name} {manifest.version}"):
        service_of(app).keeper.counts.keep_looks(FeatureDrift(model, "2026-11-27T12:00:00Z", 90, weeks))
    text = app.test_client().get("/metrics").text
    for line in (
        'binsight_shadow_total{result="differ"} 4.0',
        'binsight_queue_items{reason="disagreement",state="labelled"} 4.0',
        'binsight_live_accuracy{bound="value"} 1.0',
        "binsight_shadow_evidence 0.",
        "binsight_review_cusum 0.0",
        'binsight_feature_drift_p{week="last"} 0.001',
        "binsight_feature_drift 0.0",
        "binsight_feature_drift_at_seconds 1.7957808e+09",
    ):
        assert line in text
