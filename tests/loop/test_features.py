"""How photos look to a model: as they used to, or not; two strange weeks are a notice."""

from __future__ import annotations

import pytest
from tests.adapt.world import COLOURS, PLANT_LIGHT, factory_bundle, features_of, shots
from tests.loop.plant import stored

from binsight.loop.counts import Counts
from binsight.loop.features import measure_drift, see_photos
from binsight.loop.queue import Queue
from binsight.loop.sampling import Chances, Stratum
from binsight.predictor import Predictor


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Return the factory's bundle."""
    return factory_bundle(tmp_path_factory.mktemp("factory") / "bundle")


@pytest.fixture
def queue(tmp_path, clock):
    """Return a queue with 60 photos of the factory's camera, from three weeks ago."""
    queue = Queue(tmp_path / "loop", create=True, now=clock)
    keep(queue, 20)
    clock.move(days=15)
    return queue


def keep(queue, count, *, light=(0, 0, 0), seed=1, names=tuple(COLOURS)):
    """Keep photos that were drawn at random."""
    for name in names:
        for number, shot in enumerate(shots(name, count, light=light, seed=seed)):
            queue.put(
                stored(shot),
                model="tiny 1.0.0",
                stratum=Stratum("accept", name),
                confidence=0.9,
                chances=Chances(1, 0),
                is_random=True,
                is_review=False,
                receipt=f"{name}{seed}{number}",
            )


def test_what_the_network_sees(queue, bundle, tmp_path):
    """Photos that are gone are passed over, and the others keep their order."""
    with queue.reading() as rows:
        paths = [queue.photo(row["id"]) for row in rows.execute("SELECT id FROM items ORDER BY id LIMIT 6")]
    paths.insert(2, tmp_path / "gone.jpg")
    features, classes, readable = see_photos(Predictor.load(bundle, threads=1), paths)
    assert readable.tolist() == [True, True, False, True, True, True, True]
    assert (features.shape, classes.shape) == ((6, features_of(shots("red", 1)).shape[1]), (6,))


def test_one_strange_week_is_none_two_are(queue, clock, bundle):
    """Another light is seen at once, and told when it stays; usual weeks are not, whatever is in them."""
    predictor = Predictor.load(bundle, threads=1)
    assert not (found := measure_drift(queue, predictor)).noticed
    assert [week for _, week in found.weeks] == [None, None]
    keep(queue, 20, seed=2, names=("red", "blue"))
    assert not measure_drift(queue, predictor).noticed
    clock.move(days=8)
    keep(queue, 15, seed=3, light=PLANT_LIGHT)
    found = measure_drift(queue, predictor)
    (strange, usual) = (shift.p for _, shift in found.weeks)
    assert (strange, found.noticed) == (pytest.approx(0.001), False)
    assert usual > 0.01
    clock.move(days=7)
    keep(queue, 15, seed=4, light=PLANT_LIGHT)
    found = measure_drift(queue, predictor)
    assert (found.noticed, found.model) == (True, "tiny 1.0.0")
    counts = Counts(queue.directory)
    assert counts.looks() == []
    counts.keep_looks(found)
    assert counts.looks() == [found]
