"""Photos that a server keeps for labelling: announced, without metadata, on request not, and deleted by receipt."""

from __future__ import annotations

import base64
import io
import threading

import numpy as np
import pytest
from PIL import Image
from tests.loop.filling import Clock
from tests.serving.conftest import photo, service_of, upload
from tests.serving.test_shadow import wait

from binsight.errors import SettingsError
from binsight.imaging import ImageLimits
from binsight.loop.counts import Counts, FeatureDrift, Seen
from binsight.loop.queue import Queue, UnknownPhotoError
from binsight.loop.sampling import Quotas, Stratum
from binsight.predictor import Prediction
from binsight.probability import Decision
from binsight.probability.mmd import Shift
from binsight.serving.keeping import Keeper
from binsight.serving.settings import Settings


@pytest.fixture
def make_looped(make_app, tmp_path):
    """Return a function that makes an application which keeps every photo."""
    every = {"loop_dir": tmp_path / "loop", "keep_random": "1000000/week", "keep_review": "1000000/day"}
    return lambda **values: make_app(**every | values)


@pytest.fixture
def looped(make_looped):
    """Return an application that keeps every photo."""
    return make_looped()


def kept_by(app):
    """Stop an application and return its queue."""
    service_of(app).drain(20)
    return Queue(service_of(app).settings.loop_dir)


def noise(number, exif=False):
    """Return the file of a photo of its own."""
    file = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 255, (24, 20, 3)).astype(np.uint8)
    tags = Image.Exif()
    tags[0x010F] = "a camera with a name"
    Image.fromarray(pixels).save(file, "JPEG", exif=tags if exif else b"")
    return file.getvalue()


def test_by_default_nothing_is_kept(make_app):
    """Nor is there a call for it."""
    client = make_app().test_client()
    assert "kept" not in client.post("/predict", **upload(noise(1))).json
    assert client.delete("/photos/abc").status_code == 404
    assert "are not kept" in client.get("/").text


def test_a_kept_photo_is_announced_and_has_only_pixels(looped):
    """In the answer and on the page; what the camera wrote into the file is gone."""
    client = looped.test_client()
    answer = client.post("/predict", **upload(noise(1, exif=True))).json
    assert "keeps some of them" in client.get("/").text
    queue = kept_by(looped)
    (path,) = queue.directory.glob("photos/*/*.jpg")
    assert path.stem == queue.find(answer["kept"]["receipt"])
    assert b"a camera with a name" not in path.read_bytes()
    with Image.open(path) as stored:
        assert not stored.getexif()
    assert len(answer["kept"]["until"]) == 10


def test_who_says_no_is_counted_and_not_kept(looped):
    """A word that is neither is refused; errors are not counted."""
    client = looped.test_client()
    answer = client.post("/predict", headers={"X-Binsight-Keep": "no"}, **upload(noise(1)))
    assert "kept" not in answer.json
    assert client.post("/predict", headers={"X-Binsight-Keep": "maybe"}, **upload(noise(1))).status_code == 400
    assert client.post("/predict", **upload(b"nothing")).status_code == 415
    queue = kept_by(looped)
    assert not list(queue.directory.glob("photos/*/*.jpg"))
    counts = Counts(queue.directory)
    assert sum(counts.of_model("tiny 1.0.0").values()) == 1


def test_each_of_several_photos_has_its_receipt(looped):
    """And broken ones none."""
    answers = looped.test_client().post("/predict", **upload(noise(1), b"broken", noise(2))).json
    assert ["kept" in each for each in answers] == [True, False, True]
    queue = kept_by(looped)
    assert len({queue.find(each["kept"]["receipt"]) for each in answers if "kept" in each}) == 2


def infer(app, tensor, **headers):
    """Return the answer of `/v2` for an input tensor."""
    return app.test_client().post("/v2/models/tiny/infer", json={"inputs": [tensor]}, headers=headers)


def test_photos_at_v2_are_kept_and_counted_too(looped):
    """Files and pixels; receipts are in the answer's parameters; who says no is counted and not kept."""
    files = [base64.b64encode(noise(n)).decode() for n in (1, 2)]
    pixels = np.random.default_rng(3).integers(0, 255, (1, 16, 16, 3)).astype(np.uint8)
    photos = {"name": "photos", "datatype": "BYTES", "shape": [2], "data": files}
    images = {"name": "images", "datatype": "UINT8", "shape": [1, 16, 16, 3], "data": pixels.tolist()}
    receipts = ",".join(infer(looped, tensor).json["parameters"]["kept"] for tensor in (photos, images)).split(",")
    silent = infer(looped, images | {"data": (255 - pixels).tolist()}, **{"X-Binsight-Keep": "no"})
    assert (silent.status_code, "parameters" in silent.json) == (200, False)
    assert infer(looped, images, **{"X-Binsight-Keep": "perhaps"}).status_code == 400
    queue = kept_by(looped)
    items = [queue.find(receipt) for receipt in receipts]
    assert len(set(items)) == 3
    assert sum(Counts(queue.directory).of_model("tiny 1.0.0").values()) == 4
    with Image.open(queue.photo(items[2])) as stored:
        assert np.abs(np.asarray(stored, int) - pixels[0]).mean() < 20


def test_the_same_photo_again_is_kept_once(looped):
    """Under the same receipt; until it is deleted."""
    client = looped.test_client()
    receipts = {client.post("/predict", **upload(noise(1))).json["kept"]["receipt"] for _ in range(3)}
    assert len(receipts) == 1
    client.delete(f"/photos/{receipts.pop()}")
    client.post("/predict", **upload(noise(1)))
    queue = kept_by(looped)
    assert len(list(queue.directory.glob("photos/*/*.jpg"))) <= 1
    assert sum(Counts(queue.directory).of_model("tiny 1.0.0").values()) == 4


def test_a_receipt_deletes_the_photo(looped):
    """Before it is written or after; it is not kept again, and the receipt is worth nothing then."""
    client = looped.test_client()
    receipt = client.post("/predict", **upload(noise(1))).json["kept"]["receipt"]
    assert client.delete(f"/photos/{receipt}").json == {"forgotten": True}
    assert client.delete(f"/photos/{receipt}").json["code"] == "unknown_photo"
    queue = kept_by(looped)
    assert not list(queue.directory.glob("photos/*/*.jpg"))
    with pytest.raises(UnknownPhotoError):
        queue.find(receipt)


def test_a_correction_is_a_claim(looped):
    """With a pseudonym; not waste can be said; a class that is none is refused."""
    client = looped.test_client()
    words = {"predicted": "red", "model_name": "tiny", "model_version": "1.0.0"}

    def send(corrected):
        data = {"file": (io.BytesIO(photo()), "a.png"), "corrected": corrected, **words}
        return client.post("/feedback", data=data, content_type="multipart/form-data")

    assert [send(word).status_code for word in ("green", "green", "not_waste", "purple")] == [201, 200, 201, 400]
    queue = kept_by(looped)
    with queue.reading() as rows:
        said = [(r["corrected"], r["client"]) for r in rows.execute("SELECT * FROM claims")]
    assert said == [(word, queue.pseudonym("127.0.0.1")) for word in ("green", "not_waste")]


def test_the_quota_of_reviews(make_app, tmp_path):
    """One a day, and beyond it fewer and fewer, with their probability."""
    from tests.tiny_bundle import tiny_bundle, tiny_manifest  # noqa: PLC0415

    from binsight.probability import ReviewThresholds  # noqa: PLC0415

    unsure = tiny_bundle(tmp_path / "unsure", manifest=tiny_manifest(review=ReviewThresholds((1.0,) * 3)))
    app = make_app(models=(str(unsure),), loop_dir=tmp_path / "loop", keep_random="0", keep_review="2/day")
    for number in range(40):
        app.test_client().post("/predict", **upload(noise(number)))
    queue = kept_by(app)
    with queue.reading() as rows:
        chances = [r["chance_review"] for r in rows.execute("SELECT * FROM items")]
    assert 2 <= len(chances) <= 20
    assert sorted(chances)[-2:] == [1, 1]
    assert min(chances) >= 2 / 40


def said(category="red", decision="accept"):
    """Return what a model says."""
    scores = {"red": 0.9, "green": 0.1}
    return Prediction(category, scores, "unknown", None, Decision(decision), "x", "y", "tiny", "1.0.0")


def make_keeper(folder, clock, quotas, **changes):
    """Return a keeper that writes when it can."""
    values = {"limits": ImageLimits(), "is_busy": lambda: False, "clock": clock}
    return Keeper(folder, quotas, **values | changes)


def test_a_restart_goes_on_counting(tmp_path):
    """Counts of the last week and today's reviews are read again; drift goes on."""
    clock = Clock()
    for start in range(2):
        keeper = make_keeper(tmp_path, clock, Quotas(0, 100))
        for number in range(600):
            keeper.consider(
                b"", f"{start}-{number}", said(decision="review" if number % 10 == 0 else "accept"), may_keep=False
            )
        keeper.close(20)
    counts = Counts(tmp_path)
    assert counts.of_model("tiny 1.0.0") == {Stratum("accept", "red"): 1080, Stratum("review", "red"): 120}
    (drift,) = counts.drift()
    assert (drift.p0 is not None, drift.drifted) == (True, False)
    assert counts.reviews_on(clock()) == 120


def test_drift_is_seen(tmp_path):
    """When the share to review has doubled, by the counts alone."""
    counts, clock = Counts(tmp_path), Clock()
    keeper = make_keeper(tmp_path, clock, Quotas(0, 0))
    rng = np.random.default_rng(0)
    for share in (*[0.1] * 1000, *[0.25] * 1000):
        decision = "review" if rng.random() < share else "accept"
        keeper.consider(b"", "x", said(decision=decision), may_keep=False)
    keeper.close(20)
    assert counts.drift()[0].drifted


def test_reviews_that_are_not_drawn_may_be_set_aside(tmp_path, monkeypatch):
    """With a receipt; never what was accepted, or may not be kept."""
    monkeypatch.setattr(
        "binsight.serving.keeping.draw", lambda _k, what, _p, chance: what == "candidate" and chance > 0
    )
    keeper = make_keeper(tmp_path, Clock(), Quotas(100, 100))
    receipt = keeper.consider(noise(1), "1", said(decision="review"), may_keep=True)
    assert keeper.consider(noise(2), "2", said(), may_keep=True) is None
    assert keeper.consider(noise(3), "3", said(decision="review"), may_keep=False) is None
    keeper.close(20)
    with keeper.queue.reading() as rows:
        (row,) = rows.execute("SELECT * FROM candidates").fetchall()
        assert rows.execute("SELECT * FROM items").fetchall() == []
    assert (row["item"], row["decision"]) == (keeper.queue.find(receipt.receipt), "review")
    keeper.forget(receipt.receipt)
    assert list(tmp_path.glob("photos/*/*.jpg")) == []


class Watcher:
    """An observer that remembers with which chances photos came."""

    def __init__(self):
        self.chances = []

    def wants(self, _pixels, _bundle):
        return True

    def offer(self, kept):
        self.chances.append(kept.chances.random)


def test_twice_as_many_at_random_while_a_notice_of_drift_stands(tmp_path, monkeypatch):
    """Of the model that it is about, in a server that runs, and in one that starts; until the next comparison."""
    monkeypatch.setattr("binsight.serving.keeping._NOTICE_EVERY_S", 0)
    clock, counts, strange = Clock(), Counts(tmp_path), Shift(0.5, 0.001)
    counts.add([Seen("tiny 1.0.0", Stratum("accept", "red"), clock())] * 10_000)

    def notice(model, week_before):
        counts.keep_looks(FeatureDrift(model, "2026-11-27T12:00:00Z", 90, ((40, strange), (40, week_before))))

    def share(keeper):
        keeper.consider(b"", str(len(watcher.chances)), said(), may_keep=True)
        return watcher.chances[-1] * 70_000 / 50  # of what is usual

    watcher, keepers = Watcher(), []

    def start():
        keepers.append(make_keeper(tmp_path, clock, Quotas(50, 0)))
        keepers[-1].observer = watcher
        return keepers[-1]

    notice("other 1.0.0", strange)
    running = start()
    assert share(running) == pytest.approx(1, rel=0.01)
    notice("tiny 1.0.0", strange)
    wait(lambda: share(running) > 1.9)
    assert share(start()) == pytest.approx(2, rel=0.1)
    notice("tiny 1.0.0", None)
    wait(lambda: share(running) < 1.1)
    for keeper in keepers:
        keeper.close(20)


def test_photos_count_while_others_wait_to_be_written(tmp_path):
    """However many are to be kept: drift is seen at once."""
    counted, go = [], threading.Event()

    def is_busy():
        counted.append(sum(Counts(tmp_path).of_model("tiny 1.0.0").values()))
        go.wait(60)
        return False

    keeper = make_keeper(tmp_path, Clock(), Quotas(10**6, 0), is_busy=is_busy)
    keeper.consider(noise(1), "1", said(), may_keep=True)
    wait(lambda: counted)
    keeper.consider(noise(2), "2", said(), may_keep=True)
    keeper.consider(noise(3), "3", said(), may_keep=True)
    go.set()
    keeper.close(60)
    assert counted == [1, 3, 3]


def test_photos_are_written_when_no_other_waits(tmp_path):
    """Answers do not wait for it; at the end all that is there is written."""
    busy = threading.Event()
    busy.set()
    keeper = make_keeper(tmp_path, Clock(), Quotas(10**6, 0), is_busy=busy.is_set)
    assert keeper.consider(noise(1), "1", said(), may_keep=True) is not None
    busy.clear()
    keeper.close(20)
    assert len(list(tmp_path.glob("photos/*/*.jpg"))) == 1
    assert (keeper.waiting, keeper.dropped) == (0, 0)


def test_what_cannot_be_written_is_dropped_and_counted(tmp_path):
    """The log says why; photos are classified all the same."""
    keeper = make_keeper(tmp_path, Clock(), Quotas(10**6, 0))
    (tmp_path / "photos").write_text("in the way")
    keeper.consider(noise(1), "1", said(), may_keep=True)
    keeper.close(20)
    assert keeper.dropped == 1


@pytest.mark.parametrize(
    "values",
    [{"keep_random": "many"}, {"keep_review": "-1/day"}, {"keep_random": "5/year"}, {"keep_review": "nan"},
     {"feedback_dir": "x"}, {"keep_days": 0}],
)  # fmt: skip
def test_settings_that_cannot_be(tmp_path, values):
    """Each is said with what is expected."""
    with pytest.raises(SettingsError):
        Settings(loop_dir=tmp_path, **values)
