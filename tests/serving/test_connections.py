"""Real connections: what HTTP forbids, slow and vanishing clients, limits, TLS."""

from __future__ import annotations

import io
import json
import select
import socket
import ssl
import threading
import time
from urllib.parse import urlsplit

import pytest
from tests.patience import PATIENCE_S
from tests.serving.conftest import photo
from uvicorn.protocols.http.h11_impl import H11Protocol

from binsight.serving.connections import Connection
from binsight.serving.server import RunningServer
from binsight.serving.settings import Settings

BODY = photo("green")
HEAD = b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Type: image/png\r\n"
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY


@pytest.fixture(scope="module")
def url(shared_bundle):
    """Return the address of a server as it is by default, one for all tests that leave it as they found it."""
    server = RunningServer(Settings(models=(str(shared_bundle),), port=0, access_log=False, drain_timeout_s=5))
    server.load()
    yield server.url
    server.stop()


def connect(url: str) -> socket.socket:
    """Open a connection to a server."""
    parts = urlsplit(url)
    return socket.create_connection((parts.hostname, parts.port), timeout=PATIENCE_S)


def receive(sock: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """One answer: status, headers in lower case, body."""
    file = sock.makefile("rb")
    status = int(file.readline().split()[1])
    headers = {}
    while (line := file.readline()) != b"\r\n":
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    body = file.read(int(headers.get("content-length", 0)))
    file.close()
    return status, headers, body


def exchange(url: str, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Send bytes on a connection of their own, and return the answer."""
    with connect(url) as sock:
        sock.sendall(data)
        return receive(sock)


def test_a_connection_serves_one_request_after_another(url):
    """Keep-alive, also after an error."""
    with connect(url) as sock:
        for request, expected in ((WHOLE, 200), (WHOLE.replace(b"/predict", b"/nothing"), 404), (WHOLE, 200)):
            sock.sendall(request)
            assert receive(sock)[0] == expected


def test_answers_do_not_wait_for_acknowledgements(url):
    """Forty milliseconds each, where headers and body are sent apart and the system holds back the second."""
    with connect(url) as sock:
        begun = time.perf_counter()
        for _ in range(20):
            sock.sendall(b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n")
            assert receive(sock)[0] == 200
        assert time.perf_counter() - begun < 0.6


def test_requests_sent_at_once_are_answered_in_order(url):
    """Pipelining: three in one go."""
    with connect(url) as sock:
        sock.sendall(WHOLE + b"GET /health HTTP/1.1\r\nHost: test\r\n\r\n" + WHOLE)
        found = [json.loads(receive_exactly(sock)) for _ in range(3)]
    assert [next(iter(answer)) for answer in found] == ["predicted_category", "status", "predicted_category"]


def receive_exactly(sock: socket.socket) -> bytes:
    """One answer's body, without reading a byte of the next."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    body = b""
    while len(body) < length:
        body += sock.recv(length - len(body))
    return body


def test_a_body_in_chunks_is_a_photo_like_any_other(url):
    """With extensions and a trailer; and the connection goes on."""
    half = len(BODY) // 2
    chunks = b"%x;a=b\r\n%b\r\n%X\r\n%b\r\n0\r\nTrailer: x\r\n\r\n" % (half, BODY[:half], len(BODY) - half, BODY[half:])
    with connect(url) as sock:
        for _ in range(2):
            sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
            status, _, body = receive(sock)
            assert (status, json.loads(body)["predicted_category"]) == (200, "green")


@pytest.mark.parametrize(
    "chunks", [b"x\r\n", b"-1\r\n", b"0x5\r\nabcde\r\n", b"5\r\nabcdefgh", b"\r\n", b"fffffffff\r\n", b"5\r\nabc"]
)
def test_malformed_chunks_are_400(url, chunks):
    """No guess is made."""
    with connect(url) as sock:
        sock.sendall(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunks)
        sock.shutdown(socket.SHUT_WR)
        status, headers, body = receive(sock)
    assert (status, json.loads(body)["code"]) == (400, "bad_request")
    assert headers["connection"] == "close"


def test_chunks_beyond_the_limit_are_413_before_they_are_held(serve):
    """A chunk that says it has 4 GB."""
    data = HEAD + b"Transfer-Encoding: chunked\r\n\r\nffffffff\r\n" + b"x" * 5000
    status, _, body = exchange(serve(max_photo_bytes=2000).url, data)
    assert (status, json.loads(body)["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
        (HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
        (HEAD + b"Content-Length: -1\r\n\r\n", 400),
        (HEAD + b"Content-Length: +3\r\n\r\nabc", 400),
        (HEAD + b"Content-Length: 1_0\r\n\r\nabcdefghij", 400),
        (HEAD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n", 400),
        (b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET /?" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X-Filler: " + b"x" * 400_000, 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 10_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505),
    ],
)
def test_what_http_forbids_is_a_problem_and_ends_the_connection(url, request_bytes, status):
    """Contradicting, malformed or endless headers: no guess that a proxy in front might make differently."""
    found, headers, body = exchange(url, request_bytes)
    assert found == status
    assert headers["connection"] == "close"
    assert json.loads(body)["status"] == status


def test_what_is_no_request_is_logged_and_counted_too(shared_bundle):
    """With the id that the client got."""
    log = io.StringIO()
    server = RunningServer(Settings(models=(str(shared_bundle),), port=0, header_timeout_s=0.2), log_stream=log)
    try:
        with connect(server.url) as silent:
            assert silent.recv(100) == b""
        answers = [exchange(server.url, data) for data in (b"nonsense\r\n\r\n", b"GET / HTT")]
        metrics = exchange(server.url, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")[2].decode()
    finally:
        server.stop()
    entries = [json.loads(line) for line in log.getvalue().splitlines()]
    for (status, headers, body), entry in zip(answers, entries, strict=False):
        document = json.loads(body)
        assert document["type"] == f"/docs#problem-{document['code']}"
        assert (entry["status"], entry["code"], entry["client"]) == (status, document["code"], "127.0.0.1")
        assert entry["request_id"] == headers["x-request-id"] == document["request_id"]
    assert [entry["code"] for entry in entries[:2]] == ["bad_request", "slow_upload"]
    assert 'binsight_rejects_total{code="bad_request"} 1.0' in metrics
    assert 'binsight_requests_total{method="other",route="none",status="408"} 1.0' in metrics


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"POST http://other.example/predict HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n", 200),
        (b"POST http://other.example/predict?top=1 HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n", 200),
        (b"POST HTTP://other.example/predict?tpo=1 HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n", 400),
        (b"POST /predict HTTP/1.0\r\nContent-Length: %d\r\n", 200),
        (b"POST /predict HTTP/1.1\r\nHost: test\r\nExpect: 100-continue\r\nContent-Length: %d\r\n", 100),
        (b"POST /predict HTTP/1.1\r\nHost: test\r\nConnection: close\r\n", 411),
        (b"POST /predict HTTP/1.1\r\nHost: test\r\n", 411),
        (b"POST /predict HTTP/1.0\r\n", 411),
        (b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n", 415),
        (b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Encoding: identity\r\nContent-Length: %d\r\n", 200),
        (b"POST /predict HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: gzip, chunked\r\n", 415),
        (b"OPTIONS * HTTP/1.1\r\nHost: test\r\n", 404),
    ],
)
def test_requests_as_clients_and_proxies_send_them(url, head, expected):
    """In absolute form, without a length, compressed, waiting for leave."""
    head = head % len(BODY) if b"%d" in head else head
    status, _, body = exchange(url, head + b"Content-Type: image/png\r\n\r\n" + BODY)
    assert status == expected
    if expected == 415:
        assert "-Encoding" in json.loads(body)["detail"]


def test_a_client_that_stops_sending_still_gets_its_answer(url):
    """As `nc -N` does: it has said all that it had to say."""
    with connect(url) as sock:
        sock.sendall(WHOLE)
        sock.shutdown(socket.SHUT_WR)
        assert receive(sock)[0] == 200


def test_slow_clients_hold_up_nobody(serve):
    """Several times more than there are threads, with half a header or a body that does not come."""
    server = serve(queue_size=1, max_files=1, workers=1)
    slow = [connect(server.url) for _ in range(200)]
    try:
        for number, sock in enumerate(slow):
            sock.sendall(WHOLE[:30] if number % 2 else HEAD + b"Content-Length: 1000000\r\n\r\nx")
        for path in ("/health/live", "/health/ready", "/metrics"):
            assert exchange(server.url, f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())[0] == 200
        assert exchange(server.url, WHOLE)[0] == 200
        assert server.service.budget.held < 1000  # what came, not what was announced
    finally:
        for sock in slow:
            sock.close()


def test_uploads_together_hold_no_more_than_they_may(serve):
    """The one that would go beyond is refused while the other goes on."""
    server = serve(max_photo_bytes=200_000, max_body_bytes=200_000, max_pending_bytes=200_000)
    head = HEAD + b"Content-Length: 190000\r\n\r\n"
    with connect(server.url) as first, connect(server.url) as second:
        for sock in (first, second):
            sock.sendall(head + bytes(120_000))
        refused, _, body = receive_any(first, second)
        assert (refused, json.loads(body)["code"]) == (429, "queue_full")


def receive_any(*socks: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """The first answer on any of the connections."""
    readable, _, _ = select.select(socks, [], [], 20)
    return receive(readable[0])


def test_a_body_that_is_too_large_is_refused_before_it_is_received(serve):
    """By the length that it announces; the client can read the answer even while it still sends."""
    url = serve(max_photo_bytes=1000, max_body_bytes=10_000_000).url
    with connect(url) as sock:
        sock.sendall(HEAD + b"Content-Length: 5000000\r\n\r\n")
        assert receive(sock)[0] == 413
        sock.sendall(b"x" * 1_000_000)


@pytest.mark.parametrize("start", [b"", b"POST /predict HTT", HEAD + b"Content-Length: 5\r\n"])
def test_a_client_slow_with_its_headers_is_dropped(serve, start):
    """However it drips them, there is a time for all of them together."""
    with connect(serve(header_timeout_s=0.2, idle_timeout_s=0.2).url) as sock:
        sock.sendall(start)
        answer = sock.recv(1000)
    assert answer == b"" or b" 408 " in answer


def test_a_client_slow_with_its_photo_gets_408(serve):
    """A time for the whole body, not for each byte."""
    with connect(serve(body_timeout_s=0.2).url) as sock:
        sock.sendall(HEAD + b"Content-Length: 50\r\n\r\nabc")
        status, _, body = receive(sock)
    assert (status, json.loads(body)["code"]) == (408, "slow_upload")


def test_clients_that_go_away_leave_nothing_behind(serve):
    """In the headers, in the body, before the answer: the next client is served as ever."""
    server = serve(queue_size=32)
    for cut in (1, len(HEAD), len(WHOLE) - 5, len(WHOLE)):
        for _ in range(40):
            with connect(server.url) as sock:
                sock.sendall(WHOLE[:cut])
    assert exchange(server.url, WHOLE)[0] == 200


def test_idle_connections_hold_no_thread(serve):
    """A hundred that say nothing, on a server with fewer threads than that."""
    server = serve(queue_size=32, max_files=1)
    idle = [connect(server.url) for _ in range(100)]
    try:
        assert exchange(server.url, WHOLE)[0] == 200
    finally:
        for sock in idle:
            sock.close()


def test_connections_beyond_the_limit_are_closed(serve):
    """At once, so that the process does not run out of files."""
    url = serve(max_connections=3).url
    held = [connect(url) for _ in range(3)]
    try:
        for sock in held:
            sock.sendall(WHOLE)
            assert receive(sock)[0] == 200
        with connect(url) as sock:
            assert sock.recv(100) == b""
    finally:
        for sock in held:
            sock.close()


def test_the_answer_says_nothing_of_the_software_below(url):
    """No versions to look up weaknesses for."""
    assert exchange(url, WHOLE)[1]["server"] == "binsight"


@pytest.fixture
def certificate(tmp_path):
    """Return the files of a certificate for localhost, made for this test."""
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    server = authority.issue_cert("localhost")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join(blob.bytes() for blob in server.cert_chain_pems))
    key.write_bytes(server.private_key_pem.bytes())
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return chain, key, context


def test_tls(serve, certificate):
    """Several requests over one encrypted connection."""
    chain, key, context = certificate
    server = serve(tls_certificate=chain, tls_key=key)
    assert server.url.startswith("https://")
    with connect(server.url) as plain, context.wrap_socket(plain, server_hostname="localhost") as sock:
        for _ in range(3):
            sock.sendall(WHOLE)
            status, _, body = receive(sock)
            assert (status, json.loads(body)["predicted_category"]) == (200, "green")


def test_a_client_that_does_not_speak_tls_holds_up_nobody(serve, certificate):
    """Silent, or in plain HTTP: others shake hands meanwhile."""
    chain, key, context = certificate
    server = serve(tls_certificate=chain, tls_key=key)
    with connect(server.url) as silent, connect(server.url) as plain_http:
        plain_http.sendall(WHOLE)
        silent.sendall(b"\x16\x03\x01")
        with connect(server.url) as plain, context.wrap_socket(plain, server_hostname="localhost") as sock:
            sock.sendall(WHOLE)
            assert receive(sock)[0] == 200


def test_eight_clients_at_once_over_real_connections(serve):
    """Each gets the answer to its own photo."""
    server = serve()
    wrong = []

    def ask(number: int) -> None:
        colour = ("red", "green", "blue")[number % 3]
        data = photo(colour)
        with connect(server.url) as sock:
            for _ in range(10):
                sock.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(data) + data)
                status, _, body = receive(sock)
                if status != 200 or json.loads(body)["predicted_category"] != colour:
                    wrong.append((colour, status, body))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert wrong == []


def test_nothing_private_of_the_library_is_overridden():
    """What has no underscore there may be extended; the rest changes without notice."""
    own = {name for name in vars(Connection) if name.startswith("_") and not name.startswith("__")}
    assert own.isdisjoint(dir(H11Protocol))
