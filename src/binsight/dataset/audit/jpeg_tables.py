"""How strongly a JPEG was compressed, by the table in its header.

References:
    ITU-T T.81, section B.2.4.1 (quantisation table specification).
"""

from __future__ import annotations

__all__ = ["mean_quantisation"]

_TABLES, _START_OF_SCAN, _END = 0xDB, 0xDA, 0xD9
_ENTRIES = 64


def mean_quantisation(data: bytes) -> float:
    """The mean of a JPEG's first quantisation table, the luminance's; 0 when there is none before the first scan."""
    tables: dict[int, float] = {}
    place = data.find(b"\xff", 2)
    while 0 <= place <= len(data) - 4:
        marker = data[place + 1]
        if marker in {_START_OF_SCAN, _END}:
            break
        if marker in {0x00, 0xFF}:  # padding
            place += 1
        else:
            end = place + 2 + int.from_bytes(data[place + 2 : place + 4])
            if marker == _TABLES:
                tables |= _means(data[place + 4 : end])
            place = end
        place = data.find(b"\xff", place)
    return tables[min(tables)] if tables else 0.0


def _means(segment: bytes) -> dict[int, float]:
    """Table number → mean. A segment may hold several tables, of one or two bytes an entry."""
    means: dict[int, float] = {}
    place = 0
    while place < len(segment):
        precision, number = divmod(segment[place], 16)
        size = 2 if precision else 1
        values = segment[place + 1 : place + 1 + _ENTRIES * size]
        if len(values) < _ENTRIES * size:
            break
        high, low = (values[::2], values[1::2]) if size == 2 else (b"", values)
        means[number] = (256 * sum(high) + sum(low)) / _ENTRIES
        place += 1 + _ENTRIES * size
    return means
