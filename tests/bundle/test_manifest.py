"""`bundle.json`: what it holds, byte for byte, and everything that is refused."""

from __future__ import annotations

import copy
import hashlib
import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.bundle.corrupt import seal
from tests.bundle.test_strict_json import JSON
from tests.tiny_bundle import tiny_manifest, tiny_taxonomy

from binsight.bundle import FileEntry, Manifest, Metric, SplitMetrics
from binsight.errors import BundleError
from binsight.imaging import PreprocessSpec
from binsight.probability import ReviewThresholds
from binsight.taxonomy import Taxonomy, WasteClass

if TYPE_CHECKING:
    from collections.abc import Iterator

    Path = tuple[str | int, ...]

# "café" in the advice: the file is UTF-8, not ASCII with escapes.
GOLDEN = """{
  "format": 1,
  "sha256": "%s",
  "name": "tiny",
  "version": "1.0.0",
  "created": "2026-01-31T12:00:00Z",
  "taxonomy": {
    "name": "two",
    "classes": [
      {
        "id": "a",
        "title": "A",
        "biodegradable": true,
        "stream": "compost",
        "advice": "café"
      },
      {
        "id": "b",
        "title": "B",
        "biodegradable": false,
        "stream": "landfill",
        "advice": ""
      }
    ]
  },
  "preprocess": {
    "size": [
      2,
      3
    ],
    "fit": "stretch",
    "crop_fraction": 1.0,
    "filter": "bicubic",
    "pad_value": 127,
    "mean": [
      127.0,
      127.0,
      127.0
    ],
    "scale": [
      0.0078125,
      0.0078125,
      0.0078125
    ],
    "channel_order": "rgb"
  },
  "temperature": 1.5,
  "biodegradable_temperature": 2.0,
  "review": {
    "confidence": {
      "a": 0.25,
      "b": 0.5
    },
    "disagreement": 0.75,
    "unfamiliarity": null
  },
  "metrics": {
    "val": {
      "photos": 4,
      "values": {
        "accuracy": {
          "value": 0.75,
          "low": null,
          "high": 1.0
        }
      }
    }
  },
  "training": {
    "seed": 7
  },
  "files": {
    "card.md": {
      "sha256": "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb",
      "bytes": 1
    },
    "model.onnx": {
      "sha256": "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
      "bytes": 1
    }
  }
}
"""
GOLDEN_DIGEST = "b4d8ba9f6da0eb5c4c4ac150bc4a279bc27c64b8e45ae16df5c008a5d3af2168"


def two_classes() -> Manifest:
    """Return the manifest whose bytes are `GOLDEN`."""
    return Manifest(
        name="tiny",
        version="1.0.0",
        created="2026-01-31T12:00:00Z",
        taxonomy=Taxonomy(
            "two", (WasteClass("a", "A", True, "compost", "café"), WasteClass("b", "B", False, "landfill"))
        ),
        preprocess=PreprocessSpec(size=(2, 3)),
        temperature=1.5,
        biodegradable_temperature=2.0,
        review=ReviewThresholds(confidence=(0.25, 0.5), disagreement=0.75),
        metrics={"val": SplitMetrics(4, {"accuracy": Metric(0.75, None, 1.0)})},
        training={"seed": 7},
        files={"model.onnx": FileEntry.of(b"b"), "card.md": FileEntry.of(b"a")},
    )


def raw() -> dict[str, Any]:
    """Return the JSON object of `two_classes`, free to be changed."""
    return copy.deepcopy(two_classes().to_dict())


def fault_of(data: bytes) -> str:
    """Return the message with which these bytes are refused."""
    with pytest.raises(BundleError, match=r"^bundle\.json: ") as caught:
        Manifest.from_bytes(data)
    assert caught.value.file == "bundle.json"
    message = str(caught.value)
    assert "\n" not in message
    return message


class TestBytes:
    def test_golden_bytes(self) -> None:
        """A manifest is written as these bytes and no others, its digest taken over 64 zeros."""
        digest = hashlib.sha256((GOLDEN % ("0" * 64)).encode()).hexdigest()
        assert digest == GOLDEN_DIGEST
        assert two_classes().to_bytes().decode() == GOLDEN % digest

    def test_golden_bytes_are_read(self) -> None:
        """The golden bytes give the manifest that they were written from."""
        assert Manifest.from_bytes((GOLDEN % GOLDEN_DIGEST).encode()) == two_classes()

    def test_layout_does_not_matter(self) -> None:
        """A manifest with other white space and another order of its keys is read, if its digest is right."""
        compact = json.dumps(dict(reversed(raw().items())), separators=(",", ":")).encode()
        digest = hashlib.sha256(compact).hexdigest().encode()
        assert Manifest.from_bytes(compact.replace(b"0" * 64, digest)) == two_classes()

    def test_every_flipped_bit_is_detected(self) -> None:
        """A manifest with any one bit of any byte flipped is refused."""
        data = two_classes().to_bytes()
        for position in range(len(data)):
            for bit in range(8):
                flipped = bytearray(data)
                flipped[position] ^= 1 << bit
                with pytest.raises(BundleError):
                    Manifest.from_bytes(bytes(flipped))

    def test_every_missing_and_every_added_byte_is_detected(self) -> None:
        """A manifest with one byte cut out or one space put in anywhere is refused."""
        data = two_classes().to_bytes()
        for position in range(len(data) + 1):
            with pytest.raises(BundleError):
                Manifest.from_bytes(data[:position] + b" " + data[position:])
            if position < len(data):
                with pytest.raises(BundleError):
                    Manifest.from_bytes(data[:position] + data[position + 1 :])

    def test_altered_content_is_called_altered(self) -> None:
        """A changed value is reported as an alteration, not as a malformed file."""
        assert "altered" in fault_of(two_classes().to_bytes().replace(b"compost", b"compast"))

    @pytest.mark.parametrize("digest", ["", "0" * 63, "A" * 64, 5, None, ["a"]])
    def test_malformed_digest_is_named(self, digest: object) -> None:
        """A digest that is not 64 lower-case hex digits is refused as such."""
        assert "sha256: expected 64 lower-case hex digits" in fault_of(json.dumps({**raw(), "sha256": digest}).encode())


IDS = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
TEXT = st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=12)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", fullmatch=True)
SHARES = st.floats(0, 1)
POSITIVE = st.floats(1e-6, 1e6)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
METRICS = st.builds(Metric, FINITE, st.none() | FINITE, st.none() | FINITE)
ENTRIES = st.builds(FileEntry, st.from_regex(r"[0-9a-f]{64}", fullmatch=True), st.integers(0, 1 << 29))
SPECS = st.builds(
    PreprocessSpec,
    size=st.tuples(st.integers(1, 4096), st.integers(1, 4096)),
    fit=st.sampled_from(["stretch", "crop", "letterbox"]),
    crop_fraction=st.floats(0.05, 1),
    pad_value=st.integers(0, 255),
    mean=st.tuples(*[st.floats(width=32, allow_nan=False, allow_infinity=False)] * 3),
    channel_order=st.sampled_from(["rgb", "bgr"]),
)


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    """Draw any manifest that keeps to the format."""
    ids = draw(st.lists(IDS, min_size=2, max_size=5, unique=True))
    is_open = draw(st.booleans())
    taxonomy = Taxonomy(
        draw(TEXT),
        tuple(WasteClass(i, draw(TEXT), None if is_open else draw(st.booleans()), draw(TEXT)) for i in ids),
    )
    return Manifest(
        name=draw(NAMES),
        version=draw(NAMES),
        created=f"{draw(st.datetimes(min_value=datetime(1000, 1, 1))):%Y-%m-%dT%H:%M:%S}Z",
        taxonomy=taxonomy,
        preprocess=draw(SPECS),
        temperature=draw(POSITIVE),
        biodegradable_temperature=None if is_open else draw(POSITIVE),
        review=ReviewThresholds(tuple(draw(SHARES) for _ in ids), draw(st.none() | SHARES), draw(st.none() | FINITE)),
        metrics=draw(
            st.dictionaries(
                st.text(max_size=5), st.builds(SplitMetrics, st.integers(0), st.dictionaries(TEXT, METRICS)), max_size=2
            )
        ),
        training=draw(st.dictionaries(st.text(max_size=5), JSON, max_size=3)),
        files={name: draw(ENTRIES) for name in ("model.onnx", "card.md", *draw(st.sets(NAMES, max_size=2)))},
    )


class TestRoundTrip:
    @given(manifests())
    def test_read_gives_what_was_written(self, manifest: Manifest) -> None:
        """Any manifest survives writing and reading, and is then written as the same bytes."""
        data = manifest.to_bytes()
        assert Manifest.from_bytes(data) == manifest
        assert Manifest.from_bytes(data).to_bytes() == data

    def test_order_of_classes_is_kept(self) -> None:
        """Classes stay in the order of the network's outputs, with their thresholds, however the keys are ordered."""
        changed = raw()
        changed["review"]["confidence"] = {"b": 0.5, "a": 0.25}
        manifest = Manifest.from_bytes(seal(changed))
        assert manifest.taxonomy.ids == ("a", "b")
        assert manifest.review.confidence == (0.25, 0.5)

    def test_open_taxonomy_has_no_second_temperature(self) -> None:
        """A taxonomy that leaves biodegradability open goes with a null second temperature."""
        manifest = tiny_manifest(tiny_taxonomy(is_open=True))
        assert Manifest.from_bytes(manifest.to_bytes()).biodegradable_temperature is None


def places(value: object, path: Path = ()) -> Iterator[Path]:
    """Yield the path of every value inside a JSON value, objects and arrays included."""
    entries: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, entry in entries:
        yield (*path, key)
        yield from places(entry, (*path, key))


def at(value: Any, path: Path) -> Any:
    """Return the value at a path."""
    for key in path:
        value = value[key]
    return value


def key_of(path: Path) -> str:
    """Return what a message has to mention: the innermost key on a path, or the number of a class."""
    if path[:2] == ("taxonomy", "classes") and len(path) == 3:
        return "class"
    return [str(key) for key in path if isinstance(key, str)][-1]


def fault_or_none(data: bytes) -> str | None:
    """Return the message with which these bytes are refused; where they are not, they must survive a round trip."""
    try:
        manifest = Manifest.from_bytes(data)
    except BundleError as error:
        return str(error)
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
    return None


# What is below `training` is free; the digest and the format have tests of their own.
PLACES = [path for path in places(raw()) if path[0] not in {"format", "sha256"} and path[:1] != ("training",)]
# Names that are free to be there or not, and keys that a taxonomy may leave out.
OPTIONAL = {
    ("metrics", "val"),
    ("metrics", "val", "values", "accuracy"),
    *(("taxonomy", "classes", i, key) for i in range(2) for key in ("advice", "biodegradable")),
}
OBJECTS = [
    *((), ("taxonomy",), ("taxonomy", "classes", 1), ("preprocess",), ("review",), ("review", "confidence")),
    *(("metrics", "val"), ("metrics", "val", "values", "accuracy"), ("files", "card.md")),
]
HOSTILE = [None, True, -1, 0, 2, 0.5, 1e308, "", "x\n\x1b[31m", "a" * 2000, [], {}, [[]], {"a": 1}]


class TestRefused:
    @pytest.mark.parametrize("path", [p for p in PLACES if isinstance(p[-1], str) and p not in OPTIONAL], ids=str)
    def test_missing_key_is_named(self, path: Path) -> None:
        """A manifest without one of its keys is refused by that key's name."""
        changed = raw()
        del at(changed, path[:-1])[path[-1]]
        assert str(path[-1]) in fault_of(seal(changed))

    @pytest.mark.parametrize("path", OBJECTS, ids=str)
    def test_unknown_key_is_named(self, path: Path) -> None:
        """A manifest with one key more than the format has is refused by that key's name."""
        changed = raw()
        at(changed, path)["surprise"] = 1
        message = fault_of(seal(changed))
        assert "unknown key" in message
        assert "surprise" in message

    @pytest.mark.parametrize("path", PLACES, ids=str)
    def test_hostile_value_is_named(self, path: Path) -> None:
        """A value of the wrong type or range is refused by its key's name; one that fits is read and written again."""
        for value in HOSTILE:
            changed = raw()
            at(changed, path[:-1])[path[-1]] = value
            fault = fault_or_none(seal(changed))
            assert fault is None or key_of(path) in fault, value

    @pytest.mark.parametrize(
        ("path", "value", "fault"),
        [
            (("name",), "../x", r"name must match \[A-Za-z0-9\]\S*, got '../x'"),
            (("name",), "a" * 65, "name must match"),
            (("version",), "1.0\n", "version must match"),
            (("created",), "2026-01-31", "created must be YYYY-MM-DDThh:mm:ssZ"),
            (("created",), "2026-01-31T12:00:00+00:00", "created must be"),
            (("created",), "2026-1-31T12:00:00Z", "created must be"),
            (("created",), "2026-02-30T12:00:00Z", "created must be"),
            (("created",), "\u0662026-01-31T12:00:00Z", "created must be"),
            (("taxonomy",), [], r"taxonomy: expected an object \{...\}, got \[\]"),
            (("taxonomy", "classes"), [], "2 to 1000 classes"),
            (("taxonomy", "classes", 1, "id"), "a", "class ids must differ"),
            (("taxonomy", "classes", 1, "id"), "../a", "usable as a folder name"),
            (("preprocess", "size"), [0, 3], "size must be two whole numbers"),
            (("preprocess", "size"), [2.0, 3], "size must be two whole numbers"),
            (("preprocess", "fit"), "cut", "fit must be one of stretch, crop, letterbox"),
            (("preprocess", "mean"), [1, 2], "mean must be three finite"),
            (("temperature",), 0, "temperature must be a number above 0, got 0"),
            (("temperature",), True, "temperature must be a number above 0, got True"),
            (("temperature",), "1", "temperature must be a number above 0, got '1'"),
            (("biodegradable_temperature",), None, "biodegradable_temperature must be given exactly when"),
            (("biodegradable_temperature",), -1, "biodegradable_temperature must be a number above 0"),
            (("review",), None, r"review: expected an object \{...\}, got null"),
            (("review", "confidence", "a"), 1.01, r"review.confidence: expected a number in \[0, 1\]"),
            (("review", "confidence"), {"a": 0.5, "c": 0.5}, "review.confidence: missing b; unknown key c"),
            (("review", "disagreement"), 2, r"review.disagreement must be in \[0, 1\] or null, got 2"),
            (("review", "unfamiliarity"), "high", "review.unfamiliarity must be a number or null"),
            (("metrics", "val", "photos"), True, r"metrics.val.photos must be a whole number, got True"),
            (("metrics", "val", "photos"), -1, r"metrics.val.photos must be a whole number, got -1"),
            (
                ("metrics", "val", "values", "accuracy", "low"),
                "x",
                "metrics.val.values.accuracy: value must be a number",
            ),
            (("training",), [], r"training: expected an object"),
            (("files",), {}, "files: expected model.onnx"),
            (("files", "../x"), {"sha256": "0" * 64, "bytes": 1}, "files: '../x' is not a plain file name"),
            (("files", "bundle.json"), {"sha256": "0" * 64, "bytes": 1}, "bundle.json cannot list itself"),
            (("files", "card.md", "bytes"), 1 << 30, "card.md: bytes must be a whole number up to 536,870,912"),
            (("files", "card.md", "bytes"), 1.0, "card.md: bytes must be a whole number"),
            (("files", "card.md", "sha256"), "0" * 63, "card.md: sha256 must be 64 lower-case hex digits"),
        ],
    )
    def test_message_says_what_was_expected(self, path: Path, value: object, fault: str) -> None:
        """The message says which key is wrong, what was expected there, and what came."""
        changed = raw()
        at(changed, path[:-1])[path[-1]] = value
        with pytest.raises(BundleError, match=fault):
            read_manifest_of(seal(changed))

    @pytest.mark.parametrize("number", [0, 3, 99, -1, "1", 1.0, True, None, [1]])
    def test_unknown_format_number_is_named(self, number: object) -> None:
        """A format that is not exactly the number 1 or 2 is refused, shown, and the way out given."""
        message = fault_of(seal({**raw(), "format": number}))
        assert f"expected format 1 or 2, got {json.dumps(number)}; update binsight" in message

    def test_format_is_checked_before_the_keys(self) -> None:
        """A bundle of a later format is refused for its number, not for keys that this version does not know."""
        assert "expected format 1 or 2, got 3" in fault_of(seal({"format": 3, "sha256": "", "brand_new": True}))

    def test_all_faults_are_listed(self) -> None:
        """Several wrong values are reported in one message."""
        message = fault_of(seal({**raw(), "name": 5, "temperature": "hot", "created": "today"}))
        assert all(word in message for word in ("name must match", "temperature must be", "created must be"))

    def test_too_many_files_are_refused(self) -> None:
        """A manifest lists at most 63 files, so that the bundle fits into a zip that may be read."""
        files = {f"f{i}": {"sha256": "0" * 64, "bytes": 1} for i in range(70)}
        assert "files: expected fewer than 64" in fault_of(seal({**raw(), "files": {**raw()["files"], **files}}))


class TestWriting:
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), {1}, "\ud800", 10**400])
    def test_training_that_json_cannot_hold_is_refused(self, value: object) -> None:
        """A training record that could not be read back is refused when it is written."""
        with pytest.raises(BundleError, match=r"^bundle\.json: "):
            tiny_manifest(training={"seed": value}).to_bytes()

    def test_manifest_too_large_to_be_read_is_refused(self) -> None:
        """A manifest above the limit for reading is refused when it is written."""
        with pytest.raises(BundleError, match="expected at most 1,048,576 bytes"):
            tiny_manifest(training={"log": "x" * (1 << 20)}).to_bytes()

    def test_wrong_values_are_refused_when_they_are_given(self) -> None:
        """A manifest cannot be built with wrong values, and all of them are reported."""
        with pytest.raises(BundleError, match=r"name must match.*temperature must be"):
            tiny_manifest(name="no spaces please", temperature=float("nan"))


def read_manifest_of(data: bytes) -> Manifest:
    """Read a manifest as the reader of bundles does: with the network required among its files."""
    manifest = Manifest.from_bytes(data)
    if "model.onnx" not in manifest.files:
        raise BundleError("files: expected model.onnx")
    return manifest
