"""The Open Inference Protocol as a client that others wrote speaks it: Triton's, over HTTP, to a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from tests.serving.conftest import photo

from binsight.serving.security import new_key

http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
InferenceServerException = pytest.importorskip("tritonclient.utils").InferenceServerException

RED = np.full((2, 16, 16, 3), (255, 0, 0), np.uint8)
ADMIN, STORED = new_key("boss")


@pytest.fixture
def connect(serve) -> Iterator[Callable[..., Any]]:
    """Start a server and give a client of it."""
    clients = []

    def start(**values: Any) -> Any:
        client = http.InferenceServerClient(serve(workers=1, **values).url.removeprefix("http://"))
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.close()


def pixels(values: np.ndarray, *, binary: bool = True) -> Any:
    """Return an input of pixels."""
    tensor = http.InferInput("images", list(values.shape), "UINT8")
    tensor.set_data_from_numpy(values, binary_data=binary)
    return tensor


def test_server_and_model_describe_themselves(connect):
    """Live, ready, metadata: what clients ask before they send anything."""
    client = connect()
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", "1.0.0")
    assert not client.is_model_ready("none")
    assert client.get_server_metadata()["name"] == "binsight"
    metadata = client.get_model_metadata("tiny")
    assert [tensor["name"] for tensor in metadata["inputs"]] == ["images", "photos"]


@pytest.mark.parametrize("binary", [True, False])
def test_pixels_are_classified(connect, binary):
    """With binary tensors, as by default, and in JSON; all outputs, or those that are asked for."""
    client = connect()
    answer = client.infer("tiny", [pixels(RED, binary=binary)], request_id="7")
    assert answer.get_response()["id"] == "7"
    assert answer.as_numpy("probabilities").shape == (2, 3)
    assert answer.as_numpy("category").tolist() == [b"red", b"red"]
    wanted = [http.InferRequestedOutput("logits", binary_data=binary)]
    answer = client.infer("tiny", [pixels(RED, binary=binary)], outputs=wanted, model_version="1.0.0")
    np.testing.assert_allclose(answer.as_numpy("logits"), [[4, 0, 0]] * 2, atol=1e-5)
    assert answer.as_numpy("category") is None


def test_encoded_photos_are_classified(connect):
    """Files of any size, as BYTES."""
    tensor = http.InferInput("photos", [2], "BYTES")
    tensor.set_data_from_numpy(np.array([photo("blue"), photo("green")], object))
    assert connect().infer("tiny", [tensor]).as_numpy("category").tolist() == [b"blue", b"green"]


@pytest.mark.parametrize(
    ("call", "status", "message"),
    [
        (lambda c: c.infer("none", [pixels(RED)]), "404", "no model 'none'"),
        (lambda c: c.infer("tiny", [pixels(RED)], model_version="9"), "404", "version 1.0.0 only"),
        (lambda c: c.infer("tiny", [pixels(RED[:, :4])]), "400", "expected the input 'images'"),
        (lambda c: c.infer("tiny", [pixels(RED)], outputs=[http.InferRequestedOutput("x")]), "400", "no output 'x'"),
        (lambda c: c.infer("tiny", [pixels(np.repeat(RED, 20, 0))]), "413", "at most 32 photos"),
        (lambda c: c.get_model_metadata("none"), "404", "no model 'none'"),
        (lambda c: c.get_model_config("tiny"), "404", "not found"),
        (lambda c: c.load_model("tiny"), "404", "not found"),
        (lambda c: c.get_inference_statistics("tiny"), "404", "not found"),
    ],
)
def test_a_refusal_reaches_the_caller_in_words(connect, call, status, message):
    """The client raises its own error with the server's reason, not one about an answer that it cannot read."""
    with pytest.raises(InferenceServerException) as caught:
        call(connect())
    assert caught.value.status() == status
    assert message in caught.value.message()
    assert "decoding" not in caught.value.message()


def test_a_missing_key_reaches_the_caller_in_words(connect):
    """Also what is refused before the protocol's own code runs."""
    client = connect(api_keys=(STORED,))
    with pytest.raises(InferenceServerException, match="expected a valid key"):
        client.infer("tiny", [pixels(RED)])
    answer = client.infer("tiny", [pixels(RED)], headers={"Authorization": f"Bearer {ADMIN}"})
    assert answer.as_numpy("category").tolist() == [b"red", b"red"]
