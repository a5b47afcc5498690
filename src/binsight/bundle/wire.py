"""The wire format of Protocol Buffers, in which ONNX files are written: fields in, fields out.

References:
    https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from collections.abc import Iterator

from binsight.errors import BundleError

__all__ = ["BYTES", "encode_field", "encode_number", "read_fields", "read_number"]

_VARINT, _FIXED64, BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
_MAX_TAG = 0xFFFFFFFF


def read_fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Each field as `(number, wire type, payload)`; a varint's payload is its bytes as written."""
    position = 0
    while position < len(message):
        tag, position = read_number(message, position)
        if tag > _MAX_TAG:
            # Other parsers drop the upper bits: to them such a field has another number, to us it would be unknown.
            raise BundleError("not an ONNX model: a field number is too large")
        wire_type, start = tag & 7, position
        if wire_type == _VARINT:
            _, position = read_number(message, position)
        elif wire_type == BYTES:
            length, start = read_number(message, position)
            position = start + length
        elif wire_type in _FIXED_SIZES:
            position += _FIXED_SIZES[wire_type]
        else:
            raise BundleError(f"not an ONNX model: unknown wire type {wire_type}")
        if position > len(message):
            raise BundleError("not an ONNX model, or cut short: a field reaches beyond the end")
        yield tag >> 3, wire_type, message[start:position]


def read_number(message: memoryview, position: int) -> tuple[int, int]:
    """The number at `position`, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise BundleError("not an ONNX model, or cut short: a number ends early")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BundleError("not an ONNX model: a number is too long")


def encode_field(number: int, wire_type: int, payload: bytes | memoryview) -> bytes:
    """A field as `read_fields` reads it; a varint's payload is its bytes as written."""
    length = encode_number(len(payload)) if wire_type == BYTES else b""
    return b"".join((encode_number(number << 3 | wire_type), length, payload))


def encode_number(value: int) -> bytes:
    """A number of 0 or more as `read_number` reads it."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
