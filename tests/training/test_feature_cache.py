"""Features by content: what is kept, what a kill or damage costs."""

import hashlib

import numpy as np
import pytest

from binsight.training import feature_cache
from binsight.training.feature_cache import FeatureCache


def digest(number):
    """Return a SHA-256."""
    return hashlib.sha256(bytes([number % 256, number // 256])).digest()


def row(number):
    """Return three features."""
    return np.array([number, number + 0.5, -number], np.float32)


def filled(folder, numbers):
    """Return a cache that has kept rows."""
    cache = FeatureCache(folder)
    for number in numbers:
        cache.put(digest(number), row(number))
    cache.save()
    return cache


def test_rows_are_found_again(tmp_path):
    """By this object and the next; of what was not kept, nothing; without a folder, in memory only."""
    for cache in (filled(tmp_path, range(600)), FeatureCache(tmp_path), filled(None, range(600))):
        for number in range(600):
            np.testing.assert_array_equal(cache.get(digest(number)), row(number))
        assert cache.get(digest(600)) is None
    assert 200 < len(list(tmp_path.iterdir())) <= 256


def test_adding_leaves_what_is_there(tmp_path):
    """A file grows by what is new; nothing is written anew."""
    filled(tmp_path, range(300))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    filled(tmp_path, range(250, 320))
    after = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert all(after[path].startswith(data) for path, data in before.items())
    assert sum(map(len, after.values())) == 320 * 48 + 8 * len(after)


def test_two_add_at_a_time(tmp_path):
    """What another process has added meanwhile stays."""
    one, other = FeatureCache(tmp_path), FeatureCache(tmp_path)
    for number in range(100):
        (one if number % 2 else other).put(digest(number), row(number))
    one.save()
    other.save()
    cache = FeatureCache(tmp_path)
    assert all(cache.get(digest(number)) is not None for number in range(100))


@pytest.mark.parametrize("cut", [1, 20, 47])
def test_half_a_record_is_cut_off(tmp_path, cut):
    """A process that was killed while it wrote costs one photo."""
    filled(tmp_path, [1])
    (path,) = tmp_path.iterdir()
    first = digest(1)[0]
    same = [number for number in range(2000) if digest(number)[0] == first and number != 1][:2]
    filled(tmp_path, same)
    path.write_bytes(path.read_bytes()[:-cut])
    cache = FeatureCache(tmp_path)
    assert cache.get(digest(same[1])) is None
    cache.put(digest(same[1]), row(same[1]))
    cache.save()
    for number in (1, *same):
        np.testing.assert_array_equal(FeatureCache(tmp_path).get(digest(number)), row(number))


def test_altered_record_is_not_believed(tmp_path):
    """It is computed again, and then the new one counts."""
    filled(tmp_path, [1])
    (path,) = tmp_path.iterdir()
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert FeatureCache(tmp_path).get(digest(1)) is None
    filled(tmp_path, [1])
    np.testing.assert_array_equal(FeatureCache(tmp_path).get(digest(1)), row(1))


@pytest.mark.parametrize(
    "content", [b"", b"no cache", b"bsf1\0\0\0\0", b"bsf1\xff\xff\xff\xff", b"bsf1\4\0\0\0" + bytes(52)]
)
def test_other_files_are_replaced(tmp_path, content):
    """One that is empty, something else, or of another number of features."""
    filled(tmp_path, [1])
    (path,) = tmp_path.iterdir()
    path.write_bytes(content)
    filled(tmp_path, [1])
    np.testing.assert_array_equal(FeatureCache(tmp_path).get(digest(1)), row(1))


def test_memory_holds_what_is_not_written(tmp_path, monkeypatch):
    """Rows that are on disk are read from there."""
    monkeypatch.setattr(feature_cache, "_SAVED_AFTER_S", 0.0)
    cache = FeatureCache(tmp_path)
    for number in range(50):
        cache.put(digest(number), row(number))
    assert all(not shard._state.new for shard in cache._shards.values())
