"""What a body costs: at most three times its size, by the process's high-water mark."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.patience import PATIENCE_S
from tests.serving.test_server import Process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads and clears the high-water mark in /proc")
SIZE = 24_000_000
TENSOR = '{"inputs":[{"name":"%s","shape":%s,"datatype":"%s","data":'
FORM = b'--B\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'


def repeated(head: str, item: str, tail: str) -> Callable[[], bytes]:
    """Make a body of `SIZE` bytes; not before its test, so that all of them are never held together."""
    return f"{head}{item * ((SIZE - len(head) - len(tail)) // len(item))}{tail}".encode


PREDICT = {
    "numbers": repeated('{"image_base64":[', "0,", "0]}"),
    "base64": repeated('{"image_base64":"', "AAAA", '"}'),
    "escaped base64": repeated('{"image_base64":"', r"AB\/\u002B", '"}'),
    "base64 in lines": repeated('{"image_base64":"', "A" * 76 + r"\n", '"}'),
    "members": repeated('{"image_base64":{', '"a":0,', '"a":0}}'),
    "other members": repeated("{", '"a":0,', '"a":0}'),
    "brackets": repeated('{"image_base64":', "[", ""),
    "objects": repeated("[", "{},", "{}]"),
    "white space": repeated('{"image_base64":', " ", '"AAAA"}'),
}
INFER = {
    "numbers": repeated(TENSOR % ("images", "[1,16,16,3]", "UINT8") + "[", "0,", "0]}]}"),
    "pixels": repeated(TENSOR % ("images", "[32,16,16,3]", "UINT8") + "[", "[0,0,0],", "[0,0,0]]}]}"),
    "texts": repeated(TENSOR % ("photos", "[1]", "BYTES") + "[", '"",', '""]}]}'),
    "photo": repeated(TENSOR % ("photos", "[1]", "BYTES") + '["', "AAAA", '"]}]}'),
    "parameters": repeated('{"inputs":[{"data":[1]}],"parameters":{', '"a":0,', '"a":0}}'),
    "inputs": repeated('{"inputs":[', "{},", "{}]}"),
    "outputs": repeated('{"inputs":[{"data":[1]}],"outputs":[', "{},", "{}]}"),
    "unknown members": repeated('{"inputs":[{"data":[1],"x":[', "0,", "0]}]}"),
}


@pytest.fixture(scope="module")
def server(shared_bundle: Path):
    """Start a server; its C library gives large pieces back at once, so that no cost hides another."""
    process = Process("--model", str(shared_bundle), "--no-access-log")
    ask(process, "/predict", "application/json", b"{}")
    yield process
    process.stop()


def ask(
    server: Process, path: str, kind: str, body: bytes, *, chunked: bool = False, headers: dict[str, str] | None = None
) -> int:
    """Return the status of an answer."""
    connection = HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    pieces = iter([body[i : i + 65_536] for i in range(0, len(body), 65_536)]) if chunked else body
    connection.request("POST", path, pieces, {"Content-Type": kind, **(headers or {})}, encode_chunked=chunked)
    status = connection.getresponse().status
    connection.close()
    return status


def peak(server: Process) -> int:
    """Return the most memory, in bytes, that the server had since the mark was last cleared."""
    text = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(text.split("VmHWM:")[1].split()[0])


def cost(server: Process, path: str, kind: str, body: bytes, **options: Any) -> tuple[float, int]:
    """Return the memory that a body took, as a multiple of its size, and the status."""
    Path(f"/proc/{server.process.pid}/clear_refs").write_text("5")
    before = peak(server)
    status = ask(server, path, kind, body, **options)
    return (peak(server) - before) / len(body), status


@pytest.mark.parametrize("name", PREDICT)
def test_any_json_for_predict(server, name):
    """Whatever is where a photo should be."""
    multiple, status = cost(server, "/predict", "application/json", PREDICT[name]())
    assert status in {400, 413, 415}
    assert multiple <= 3


@pytest.mark.parametrize("name", INFER)
def test_any_json_for_infer(server, name):
    """Whatever is where a tensor should be, or beside it."""
    multiple, status = cost(server, "/v2/models/tiny/infer", "application/json", INFER[name]())
    assert status in {400, 413, 415}
    assert multiple <= 3


@pytest.mark.parametrize("chunked", [False, True])
def test_a_form(server, chunked):
    """With one large file, its length announced or not."""
    body = FORM + bytes(15_000_000) + b"\r\n--B--\r\n"
    multiple, status = cost(server, "/predict", "multipart/form-data; boundary=B", body, chunked=chunked)
    assert status == 415
    assert multiple <= 3


def test_a_photo_itself(server):
    """As a camera posts it."""
    multiple, status = cost(server, "/predict", "image/jpeg", b"\xff\xd8" + bytes(19_000_000))
    assert status in {415, 422}
    assert multiple <= 3


def test_nothing_is_kept_of_a_photo_that_was_refused(server):
    """Not even until the garbage collector comes by."""
    mark = Path(f"/proc/{server.process.pid}/clear_refs")

    def held() -> int:
        mark.write_text("5")
        return peak(server)

    ask(server, "/predict", "image/jpeg", b"\xff\xd8" + bytes(15_000_000))
    first = held()
    for _ in range(3):
        ask(server, "/predict", "image/jpeg", b"\xff\xd8" + bytes(15_000_000))
    ends = time.monotonic() + PATIENCE_S  # the answer may be here before the server has let go of the last one
    while held() - first >= 5_000_000 and time.monotonic() < ends:
        time.sleep(0.05)
    assert held() - first < 5_000_000


def test_a_binary_tensor(server):
    """One file behind the JSON."""
    photo = bytes(15_000_000)
    parameters = {"binary_data_size": len(photo) + 4}
    tensor = {"name": "photos", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    body = head + len(photo).to_bytes(4, "little") + photo
    multiple, status = cost(server, "/v2/models/tiny/infer", "application/octet-stream", body, headers=headers)
    assert status == 415
    assert multiple <= 3
