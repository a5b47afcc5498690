"""What one request's body costs the server in memory, by the high-water mark of a fresh process; Linux only.

python benchmarks/serve_bodies.py [--megabytes N]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from serve_load import Client, request
from serve_processes import binsight

INFER = "/v2/models/waste8/infer"
TENSOR = '{"inputs":[{"name":"%s","shape":%s,"datatype":"%s","data":'
PIXELS = "[1,256,256,3]"
# What is sent, where to, and how it begins, goes on and ends.
BODIES = (
    ("image_base64: [0,0,…]", "/predict", '{"image_base64":[', "0,", "0]}"),
    ('image_base64: {"a":0,…}', "/predict", '{"image_base64":{', '"a":0,', '"a":0}}'),
    ("image_base64: base64, no picture", "/predict", '{"image_base64":"', "AAAA", '"}'),
    ("image_base64: the same, escaped", "/predict", '{"image_base64":"', r"AB\/\u002B", '"}'),
    ("images: [0,0,…]", INFER, TENSOR % ("images", PIXELS, "UINT8") + "[", "0,", "0]}]}"),
    ("images: [[0,0,0],…]", INFER, TENSOR % ("images", PIXELS, "UINT8") + "[", "[0,0,0],", "[0,0,0]]}]}"),
    ('photos: ["","",…]', INFER, TENSOR % ("photos", "[1]", "BYTES") + "[", '"",', '""]}]}'),
    ("photos: base64, no picture", INFER, TENSOR % ("photos", "[1]", "BYTES") + '["', "AAAA", '"]}]}'),
    ("inputs: [{},{},…]", INFER, '{"inputs":[', "{},", "{}]}"),
)


def cost(path: str, body: bytes, kind: str) -> tuple[float, int]:
    """Memory that the body took, in megabytes, and the answer's status."""
    with binsight("--no-access-log") as (port, process):
        client = Client(port)
        client.ask(request(pixels(8), "application/json", INFER))  # all workers have run the network once
        mark = Path(f"/proc/{process.pid}/clear_refs")
        mark.write_text("5")
        before = _peak_mb(process.pid)
        status = client.ask(request(body, kind, path))
        client.close()
        return _peak_mb(process.pid) - before, status


def pixels(count: int) -> bytes:
    """A request with as many whole tensors as may be sent: the most numbers that a valid body has."""
    shape = [count, 256, 256, 3]
    numbers = ",".join(["7"] * (count * 256 * 256 * 3))
    return (TENSOR % ("images", shape, "UINT8") + f"[{numbers}]}}]}}").encode()


def _peak_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=float, default=24, help="of each body")
    size = int(1e6 * parser.parse_args().megabytes)
    table = Table("body", "megabytes", "memory, MB", "times the body", "status")
    bodies = [
        (n, p, f"{h}{i * ((size - len(h) - len(t)) // len(i))}{t}".encode(), "application/json")
        for n, p, h, i, t in BODIES
    ]
    bodies.append(("images: 32 whole tensors", INFER, pixels(32), "application/json"))
    form = b'--B\r\nContent-Disposition: form-data; name="file"\r\n\r\n' + bytes(size // 2) + b"\r\n--B--\r\n"
    bodies.append(("a form with one file, no picture", "/predict", form, "multipart/form-data; boundary=B"))
    for name, path, body, kind in bodies:
        megabytes, status = cost(path, body, kind)
        times = 1e6 * megabytes / len(body)
        table.add_row(name, f"{len(body) / 1e6:.0f}", f"{megabytes:.0f}", f"{times:.1f}", str(status))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
