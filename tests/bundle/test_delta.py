"""A file as the differences from another: git's format, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from hashlib import sha1
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from binsight.bundle.delta import apply_delta, make_delta
from binsight.errors import BundleError

if TYPE_CHECKING:
    from pathlib import Path

BASE = bytes(range(200)) * 3
TARGET = BASE[100:500] + b"new" + BASE[:150]


def test_hand_made_instructions() -> None:
    """Sizes 5 and 6; copy 3 bytes from offset 1; insert two; copy one byte from offset 0."""
    assert apply_delta(b"abcde", bytes([5, 6, 0x91, 1, 3, 2]) + b"XY" + bytes([0x90, 1]), 6) == b"bcdXYa"


def test_copy_without_a_count_is_of_65536_bytes() -> None:
    """As git has it."""
    base = b"z" * 70000
    assert apply_delta(base, bytes([0xF0, 0xA2, 4, 0x80, 0x80, 4, 0x80]), 65536) == base[:65536]


@given(st.binary(max_size=400), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400)), max_size=5), st.binary())
def test_round_trip(base: bytes, parts: list[tuple[int, int]], new: bytes) -> None:
    """Whatever two files have in common, the second comes back."""
    target = new.join(base[first : first + length] for first, length in parts)
    assert apply_delta(base, make_delta(base, target), len(target)) == target


@pytest.mark.parametrize(
    ("base", "target"), [(b"", b""), (b"", b"x"), (b"x" * 300, b""), (b"ab" * 100, b"ba" * 40_000)]
)
def test_round_trip_of_extremes(base: bytes, target: bytes) -> None:
    """Nothing, and much from little."""
    assert apply_delta(base, make_delta(base, target), len(target)) == target


def test_what_is_in_common_takes_no_room() -> None:
    """A file that differs by three bytes and by what was moved is told in fewer than forty."""
    assert len(make_delta(BASE, TARGET)) < 40


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_reads_it(tmp_path: Path) -> None:
    """A pack of a file and of such differences from it gives git the other file."""
    delta = make_delta(BASE, TARGET)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    name = sha1(b"blob %d\0" % len(BASE) + BASE, usedforsecurity=False).digest()
    objects = _entry(3, len(BASE)) + zlib.compress(BASE) + _entry(7, len(delta)) + name + zlib.compress(delta)
    pack = b"PACK" + (2).to_bytes(4) + (2).to_bytes(4) + objects
    pack += sha1(pack, usedforsecurity=False).digest()
    subprocess.run(["git", "-C", tmp_path, "unpack-objects", "-q"], input=pack, check=True)
    found = sha1(b"blob %d\0" % len(TARGET) + TARGET, usedforsecurity=False).hexdigest()
    assert (
        subprocess.run(["git", "-C", tmp_path, "cat-file", "blob", found], check=True, capture_output=True).stdout
        == TARGET
    )


def _entry(kind: int, size: int) -> bytes:
    """The head of an object in a pack: its kind and size."""
    head, size = [kind << 4 | size & 15], size >> 4
    while size:
        head[-1] |= 128
        head, size = [*head, size & 127], size >> 7
    return bytes(head)


@pytest.mark.parametrize(
    ("delta", "size"),
    [
        (b"", 3),
        (b"\xff" * 12, 3),
        (bytes([5, 3]), 3),
        (bytes([5, 3, 0]), 3),
        (bytes([5, 3, 3]) + b"ab", 3),
        (bytes([5, 3, 0x91, 1]), 3),
        (bytes([5, 3, 0x91, 3, 3]), 3),
        (bytes([5, 3, 0x91, 0, 3, 1]) + b"x", 3),
        (bytes([5, 3, 2]) + b"ab", 3),
        (bytes([5, 4, 0x90, 4]), 3),
        (bytes([6, 3, 0x90, 3]), 3),
        (bytes([5, 3, 0x80]), 3),
    ],
)
def test_malformed_differences_are_refused(delta: bytes, size: int) -> None:
    """Cut short, too long, beyond the base, of another base or size, or an instruction that there is not."""
    with pytest.raises(BundleError):
        apply_delta(b"abcde", delta, size)


def test_every_truncation_is_refused() -> None:
    """No beginning of differences passes for all of them."""
    delta = make_delta(BASE, TARGET)
    for length in range(len(delta)):
        with pytest.raises(BundleError):
            apply_delta(BASE, delta[:length], len(TARGET))
