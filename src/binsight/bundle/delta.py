"""One file as the differences from another: what of it is copied from there, and what is new.

The format is that of deltas in the packs of git: two sizes, then instructions. An instruction with the highest bit set
copies from the base: its other bits say which bytes of a 4-byte offset and a 3-byte count follow, little-endian, a
count of 0 being 65,536. Any other but 0 is followed by as many new bytes as its number.

References:
    https://git-scm.com/docs/gitformat-pack, "Deltified representation".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from binsight.bundle.wire import encode_number
from binsight.errors import BundleError

__all__ = ["apply_delta", "make_delta"]

_BLOCK: Final = 64  # bytes; less in common is not looked for
_COPY: Final = 0x80
_MOST_COPIED, _MOST_NEW = 0xFFFFFF, 0x7F
_COUNT_OF_NONE: Final = 0x10000
_OFFSET_BYTES, _COUNT_BYTES = 4, 3
_LONGEST_SIZE: Final = 63  # bits


def apply_delta(base: bytes, delta: bytes, size: int) -> bytes:
    """The file of `size` bytes that `make_delta(base, file)` describes.

    Raises:
        BundleError: it is malformed, of another base, or does not give `size` bytes.
    """
    try:
        of, at = _size(delta, 0)
        makes, at = _size(delta, at)
        if (of, makes) != (len(base), size):
            raise BundleError(f"makes {makes:,} bytes of {of:,}, expected {size:,} of {len(base):,}")
        return b"".join(_parts(base, delta, at, size))
    except IndexError:
        raise BundleError("malformed differences, or cut short") from None


def make_delta(base: bytes, target: bytes) -> bytes:
    """The differences from `base` to `target`; small where `target` has long runs of bytes of `base`, wherever."""
    return b"".join((encode_number(len(base)), encode_number(len(target)), *_instructions(base, target)))


def _parts(base: bytes, delta: bytes, at: int, left: int) -> Iterator[bytes]:
    """The parts of the file; IndexError where they are not as long as they say."""
    while at < len(delta):
        code, at = delta[at], at + 1
        if code & _COPY:
            offset, at = _number(delta, at, code, _OFFSET_BYTES)
            count, at = _number(delta, at, code >> _OFFSET_BYTES, _COUNT_BYTES)
            count = count or _COUNT_OF_NONE
            part = base[offset : offset + count]
        else:
            count = code
            part = delta[at : at + count]
            at += count
        left -= count
        if not count or left < 0 or len(part) != count:
            raise IndexError
        yield part
    if left:
        raise IndexError


def _size(delta: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < _LONGEST_SIZE:
        byte, at = delta[at], at + 1
        value, shift = value | (byte & 0x7F) << shift, shift + 7
        if byte < _COPY:
            return value, at
    raise IndexError


def _number(delta: bytes, at: int, present: int, width: int) -> tuple[int, int]:
    value = 0
    for place in range(width):
        if present >> place & 1:
            value, at = value | delta[at] << 8 * place, at + 1
    return value, at


def _instructions(base: bytes, target: bytes) -> Iterator[bytes]:
    blocks = {base[at : at + _BLOCK]: at for at in range(0, len(base) - _BLOCK + 1, _BLOCK)}
    at = new = 0
    while at < len(target):
        found = blocks.get(target[at : at + _BLOCK])
        if found is None:
            at += 1
            continue
        while at > new and found and base[found - 1] == target[at - 1]:
            at, found = at - 1, found - 1
        yield from _inserted(target[new:at])
        count = _in_common(base, target, found, at)
        yield from _copied(found, count)
        at += count
        new = at
    yield from _inserted(target[new:])


def _in_common(base: bytes, target: bytes, found: int, at: int) -> int:
    count, step = 0, min(len(base) - found, len(target) - at)
    while step:
        if base[found + count : found + count + step] == target[at + count : at + count + step]:
            count += step
            step = min(step, len(base) - found - count, len(target) - at - count)
        else:
            step //= 2
    return count


def _copied(offset: int, count: int) -> Iterator[bytes]:
    while count:
        part = min(count, _MOST_COPIED)
        digits = offset.to_bytes(_OFFSET_BYTES, "little") + part.to_bytes(_COUNT_BYTES, "little")
        present = sum(1 << place for place, digit in enumerate(digits) if digit)
        yield bytes([_COPY | present, *(digit for digit in digits if digit)])
        offset, count = offset + part, count - part


def _inserted(data: bytes) -> Iterator[bytes]:
    for first in range(0, len(data), _MOST_NEW):
        part = data[first : first + _MOST_NEW]
        yield bytes([len(part)]) + part
