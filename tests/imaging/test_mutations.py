"""A thousand damaged files end in a picture or in a clear error."""

from __future__ import annotations

import random
import time

import numpy as np
import pytest

from binsight.errors import BinsightError
from binsight.imaging import ImageLimits, decode_image

COUNT = 1000
LIMITS = ImageLimits(max_pixels=4_000_000)  # so that a flipped size does not cost a second

# Pillow warns of what it skips in damaged files; the user learns of it by the error.
pytestmark = pytest.mark.filterwarnings("ignore:::PIL")


def flip(data, chance, _other):
    """Change a few bytes, more often near the beginning, where the headers are."""
    mutated = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4, 16])):
        mutated[int(len(mutated) * chance.random() ** chance.choice([1, 3]))] = chance.randrange(256)
    return bytes(mutated)


def extreme(data, chance, _other):
    """Set a few bytes in a row to 00, 7f, 80 or ff: the values that overflow."""
    at, length = chance.randrange(min(len(data), 200)), chance.choice([1, 2, 4, 8])
    return data[:at] + bytes([chance.choice([0, 0x7F, 0x80, 0xFF])]) * length + data[at + length :]


def delete(data, chance, _other):
    """Leave out a piece."""
    at = chance.randrange(len(data))
    return data[:at] + data[at + chance.choice([1, 2, 7, 64, 400]) :]


def insert(data, chance, _other):
    """Put noise in between."""
    at = chance.randrange(len(data))
    return data[:at] + chance.randbytes(chance.choice([1, 2, 7, 64])) + data[at:]


def duplicate(data, chance, _other):
    """Repeat a piece where it is."""
    at, length = chance.randrange(len(data)), chance.choice([1, 4, 32, 300])
    return data[: at + length] + data[at : at + length] * chance.choice([1, 3]) + data[at + length :]


def splice(data, chance, other):
    """Continue with another file, perhaps of another format."""
    return data[: chance.randrange(len(data))] + other[chance.randrange(len(other)) :]


def truncate(data, chance, _other):
    """Cut the end off."""
    return data[: chance.randrange(1, len(data))]


MUTATIONS = (flip, flip, flip, extreme, extreme, delete, insert, duplicate, splice, truncate)


def test_mutations(samples):
    """Each of 1,000 mutated files becomes an (h, w, 3) uint8 array or a `BinsightError` of one printable line."""
    chance = random.Random(20240229)  # noqa: S311 - not for secrets
    names = sorted(samples)
    messages = []
    started = time.monotonic()
    for number in range(COUNT):
        name = names[number % len(names)]
        mutate = chance.choice(MUTATIONS)
        data = mutate(samples[name], chance, samples[chance.choice(names)])
        case = f"mutation {number}: {mutate.__name__} of {name}"
        try:
            decoded = decode_image(data, limits=LIMITS, min_size=chance.choice([None, (4, 4)]))
        except BinsightError as error:
            messages.append(str(error))
        except Exception as error:
            pytest.fail(f"{case} ended in {error!r}")
        else:
            assert decoded.dtype == np.uint8, case
            assert decoded.ndim == 3, case
            assert decoded.shape[2] == 3, case
            assert decoded.size, case
    assert all(message.isprintable() for message in messages)
    # Damage that nobody notices, or that is always refused, would test little.
    assert COUNT // 4 < len(messages) < COUNT - COUNT // 20
    assert time.monotonic() - started < 30
