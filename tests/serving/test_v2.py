"""The Open Inference Protocol: what its clients send and expect."""

from __future__ import annotations

import base64
import json
import math
import struct

import numpy as np
import pytest
from tests.serving.conftest import photo

from binsight.serving.v2_tensors import BINARY_HEADER

INFER = "/v2/models/tiny/infer"
RED = np.full((1, 16, 16, 3), (255, 0, 0), np.uint8)


def images(values: np.ndarray, **more):
    """Return a request with pixels."""
    data = {"name": "images", "shape": list(values.shape), "datatype": "UINT8", "data": values.reshape(-1).tolist()}
    return {"inputs": [data], **more}


def photos(*files: bytes, **more):
    """Return a request with encoded photos."""
    data = [base64.b64encode(file).decode() for file in files]
    return {"inputs": [{"name": "photos", "shape": [len(files)], "datatype": "BYTES", "data": data}], **more}


def outputs(answer) -> dict[str, dict]:
    """Return a good answer's outputs by name."""
    assert answer.status_code == 200, answer.text
    return {output["name"]: output for output in answer.json["outputs"]}


def test_server_and_model_say_what_they_are(client):
    """Live, ready, metadata; with and without a version."""
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    assert client.get("/v2").json["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/models/tiny/ready").json == {"name": "tiny", "ready": True}
    metadata = client.get("/v2/models/tiny/versions/1.0.0").json
    assert metadata["inputs"][0] == {"name": "images", "datatype": "UINT8", "shape": [-1, 16, 16, 3]}
    assert {"name": "logits", "datatype": "FP32", "shape": [-1, 3]} in metadata["outputs"]


def test_pixels_give_logits_and_probabilities(client):
    """A red photo: logits (4, 0, 0), and their softmax."""
    answer = client.post(INFER, json=images(RED, id="42"))
    found = outputs(answer)
    assert (answer.json["id"], answer.json["model_name"], answer.json["model_version"]) == ("42", "tiny", "1.0.0")
    assert found["logits"]["data"] == pytest.approx([4, 0, 0])
    assert found["probabilities"]["data"][0] == pytest.approx(math.exp(4) / (math.exp(4) + 2))
    assert found["category"] == {"name": "category", "shape": [1], "datatype": "BYTES", "data": ["red"]}


def test_nested_data_are_the_same_as_flat(client):
    """Both forms are in the protocol."""
    nested = images(RED)
    nested["inputs"][0]["data"] = RED.tolist()
    assert outputs(client.post(INFER, json=nested)) == outputs(client.post(INFER, json=images(RED)))


def test_encoded_photos_give_what_predict_gives(client):
    """In base64, several at once, in order."""
    found = outputs(client.post(INFER, json=photos(photo("blue"), photo("green"))))
    assert found["category"]["data"] == ["blue", "green"]
    plain = client.post("/predict", data=photo("blue"), content_type="image/png").json
    assert found["probabilities"]["data"][:3] == pytest.approx(list(plain["confidence_scores"].values()), abs=1e-6)


def test_only_the_outputs_asked_for_come(client):
    """In the order asked for; the heat map's attention is one of them."""
    wishes = [{"name": "attention"}, {"name": "features"}]
    answer = client.post(INFER, json=images(RED, outputs=wishes)).json["outputs"]
    assert [(o["name"], o["shape"]) for o in answer] == [("attention", [1, 2, 2, 3]), ("features", [1, 3])]


def test_binary_tensors_in_and_out(client):
    """As Triton's clients send them by default."""
    tensor = {"name": "images", "shape": [1, 16, 16, 3], "datatype": "UINT8", "parameters": {"binary_data_size": 768}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    answer = client.post(INFER, data=head + RED.tobytes(), headers={BINARY_HEADER: str(len(head))})
    assert answer.status_code == 200
    split = int(answer.headers[BINARY_HEADER])
    found = {o["name"]: o for o in json.loads(answer.data[:split])["outputs"]}
    position, arrays = split, {}
    for name, output in found.items():
        size = output["parameters"]["binary_data_size"]
        arrays[name] = answer.data[position : position + size]
        position += size
    assert position == len(answer.data)
    assert np.frombuffer(arrays["logits"], "<f4").tolist() == pytest.approx([4, 0, 0])
    assert arrays["category"] == struct.pack("<I", 3) + b"red"


def test_binary_photos_need_no_base64(client):
    """Each with its length before it; outputs stay JSON unless asked otherwise."""
    files = [photo("green"), photo("red")]
    binary = b"".join(struct.pack("<I", len(file)) + file for file in files)
    parameters = {"binary_data_size": len(binary)}
    tensor = {"name": "photos", "shape": [2], "datatype": "BYTES", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = client.post(INFER, data=head + binary, headers={BINARY_HEADER: str(len(head))})
    assert outputs(answer)["category"]["data"] == ["green", "red"]


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": "other"}, "bad_request"),
        ({"datatype": "FP32"}, "bad_request"),
        ({"datatype": "BYTES"}, "bad_request"),
        ({"shape": [1, 16, 16]}, "bad_request"),
        ({"shape": [1, 16, 16, 4]}, "bad_request"),
        ({"shape": [2, 16, 16, 3]}, "bad_request"),
        ({"shape": [0, 16, 16, 3]}, "no_file"),
        ({"shape": [1, 16, 16, -3]}, "bad_request"),
        ({"shape": [2**31 - 1] * 8}, "bad_request"),
        ({"data": [256] * 768}, "bad_request"),
        ({"data": [-1] * 768}, "bad_request"),
        ({"data": [0.5] * 768}, "bad_request"),
        ({"data": [2**70] * 768}, "bad_request"),
        ({"data": [[1], [1, 2]]}, "bad_request"),
        ({"data": ["x"] * 768}, "bad_request"),
        ({"data": None}, "bad_request"),
        ({"data": []}, "bad_request"),
        ({"parameters": {"binary_data_size": True}, "data": None}, "bad_request"),
    ],
)
def test_a_tensor_that_does_not_fit_is_400(client, change, code):
    """In name, type, shape or data."""
    message = images(RED)
    message["inputs"][0] |= change
    answer = client.post(INFER, json=message)
    assert (answer.status_code, answer.json["code"]) == (400, code)


@pytest.mark.parametrize("header", ["-1", "x", "99999999999999", "9" * 9, "²"])
def test_a_binary_header_outside_of_the_body_is_400(client, header):
    """It is a number up to the length of the body."""
    answer = client.post(INFER, data=b"{}", headers={BINARY_HEADER: header})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


@pytest.mark.parametrize("binary", [b"", b"\x00", b"\xff\xff\xff\xff", b"\x01\x00\x00\x00ab", b"\x05\x00\x00\x00ab"])
def test_binary_strings_that_do_not_add_up_are_400(client, binary):
    """Lengths beyond the end, or bytes left over."""
    parameters = {"binary_data_size": len(binary)}
    tensor = {"name": "photos", "shape": [1], "datatype": "BYTES", "parameters": parameters}
    head = json.dumps({"inputs": [tensor]}).encode()
    answer = client.post(INFER, data=head + binary, headers={BINARY_HEADER: str(len(head))})
    assert (answer.status_code, answer.json["code"]) == (400, "bad_request")


def test_faults_have_the_statuses_of_predict(client):
    """An unreadable photo 415, an unknown model, version 404, an unknown output 400, too many photos 413."""
    assert client.post(INFER, json=photos(b"no photo")).status_code == 415
    assert client.post("/v2/models/none/infer", json=images(RED)).status_code == 404
    assert client.post("/v2/models/tiny/versions/9/infer", json=images(RED)).status_code == 404
    assert client.post(INFER, json=images(RED, outputs=[{"name": "none"}])).status_code == 400
    assert client.post(INFER, json=photos(*[photo()] * 33)).status_code == 413
    assert client.post(INFER, json=photos("bad"[:0].encode())).status_code == 400


@pytest.mark.parametrize("path", ["/v2/models/none", "/v2/nothing", "/v2/models/tiny/config"])
def test_errors_have_the_member_that_the_protocol_names(client, path):
    """Beside those of a problem; elsewhere there is no such member."""
    answer = client.get(path).json
    assert answer["error"] == answer["detail"] != ""
    assert "error" not in client.get("/models/none").json
