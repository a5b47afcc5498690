"""From photos to predictions, with numbers computed by hand from the tiny bundle's rules."""

from __future__ import annotations

import io
import json
import math
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image
from tests.patience import PATIENCE_S
from tests.tiny_bundle import OUTPUTS, SIZE, tiny_bundle, tiny_manifest, tiny_model, tiny_taxonomy

from binsight.bundle import load_bundle
from binsight.errors import BundleError, ImageTooLargeError, InputError, TruncatedImageError
from binsight.imaging import ImageLimits, PreprocessSpec, prepare_photo
from binsight.predictor import Predictor, available_cores
from binsight.probability import Decision, ReviewThresholds

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from binsight.predictor import Prediction

    Photo = NDArray[np.uint8]

RED, GREEN, BLUE, WHITE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0)
# Logits (4, 0, 0): e⁴ / (e⁴ + 2) and 1 / (e⁴ + 2), with e⁴ = 54.59815.
WINNER, LOSER = 54.59815 / 56.59815, 1 / 56.59815
# The second head gives -4 without green and 4 for pure green.
ROTS, ROTS_NOT = 1 / (1 + math.exp(-4)), 1 / (1 + math.exp(4))


def solid(colour: tuple[int, int, int], height: int = 30, width: int = 40) -> Photo:
    """Return a photo of one colour."""
    return np.full((height, width, 3), colour, np.uint8)


def halves(left: tuple[int, int, int], right: tuple[int, int, int]) -> Photo:
    """Return a photo with one colour on its left and one on its right."""
    return np.concatenate([solid(left, 32, 16), solid(right, 32, 16)], axis=1)


def encoded(photo: Photo, form: str = "PNG") -> bytes:
    """Return a photo's file."""
    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, form)
    return buffer.getvalue()


def photos_at_random(count: int, seed: int = 0) -> list[Photo]:
    """Return photos of noise, of several sizes."""
    generator = np.random.default_rng(seed)
    sizes = generator.integers(10, 60, (count, 2))
    return [generator.integers(0, 256, (height, width, 3), np.uint8) for height, width in sizes]


def scores_of(predictions: list[Prediction]) -> NDArray[np.float64]:
    """Return all scores and second opinions, `(n, C + 1)`."""
    return np.array([[*p.scores.values(), p.biodegradable_probability or 0.0] for p in predictions])


@pytest.fixture(scope="module")
def predictor(shared_bundle: Path) -> Predictor:
    """Return the tiny bundle's predictor, on one thread."""
    return Predictor.load(shared_bundle, threads=1)


class TestByHand:
    @pytest.mark.parametrize(
        ("colour", "category", "scores", "biodegradability", "rots", "stream", "advice"),
        [
            (RED, "red", (WINNER, LOSER, LOSER), "non_biodegradable", ROTS_NOT, "recycling", "Rinse it."),
            (GREEN, "green", (LOSER, WINNER, LOSER), "biodegradable", ROTS, "compost", "Let it rot."),
            (BLUE, "blue", (LOSER, LOSER, WINNER), "non_biodegradable", ROTS_NOT, "landfill", ""),
        ],
    )
    def test_solid_colour(
        self,
        predictor: Predictor,
        colour: tuple[int, int, int],
        category: str,
        scores: tuple[float, ...],
        biodegradability: str,
        rots: float,
        stream: str,
        advice: str,
    ) -> None:
        """A photo of one colour has the scores of that colour's logits, and its class's stream and advice."""
        prediction = predictor.predict_bytes(encoded(solid(colour)))
        assert prediction.category == category
        assert list(prediction.scores) == ["red", "green", "blue"]
        assert list(prediction.scores.values()) == pytest.approx(scores, abs=1e-6)
        assert prediction.confidence == pytest.approx(WINNER, abs=1e-6)
        assert prediction.biodegradability == biodegradability
        assert prediction.biodegradable_probability == pytest.approx(rots, abs=1e-6)
        assert (prediction.stream, prediction.advice) == (stream, advice)
        assert (prediction.model_name, prediction.model_version) == ("tiny", "1.0.0")
        assert (prediction.decision, prediction.reason) == ("accept", None)

    def test_two_colours(self, predictor: Predictor) -> None:
        """Half red and half blue has logits (2, 0, 2): e² / (2 e² + 1) for both, and the first wins the tie."""
        [prediction] = predictor.predict_images([halves(RED, BLUE)])
        half = math.exp(2) / (2 * math.exp(2) + 1)
        assert list(prediction.scores.values()) == pytest.approx([half, 1 - 2 * half, half], abs=1e-6)
        assert prediction.category == "red"

    def test_temperature_softens(self, tmp_path: Path) -> None:
        """A temperature of 2 turns logits (4, 0, 0) into (2, 0, 0), and the second head's -4 at 4 into -1."""
        manifest = tiny_manifest(temperature=2.0, biodegradable_temperature=4.0)
        predictor = Predictor.load(tiny_bundle(tmp_path / "b", manifest=manifest), threads=1)
        [prediction] = predictor.predict_images([solid(RED)])
        assert prediction.confidence == pytest.approx(math.exp(2) / (math.exp(2) + 2), abs=1e-6)
        assert prediction.biodegradable_probability == pytest.approx(1 / (1 + math.e), abs=1e-6)

    def test_transparency_is_white(self, predictor: Predictor) -> None:
        """Red, with its left half transparent: on average (1, 1/2, 1/2), so the logits are 4, 2, 2."""
        buffer = io.BytesIO()
        photo = Image.new("RGBA", (20, 20), (255, 0, 0, 255))
        photo.paste((255, 0, 0, 0), (0, 0, 10, 20))
        photo.save(buffer, "PNG")
        assert predictor.predict_bytes(buffer.getvalue()).confidence == pytest.approx(math.exp(2) / (math.exp(2) + 2))

    def test_letterbox_pads_what_the_network_sees(self, tmp_path: Path) -> None:
        """With `letterbox`, a photo twice as wide as high fills half of the input; the rest is the pad value."""
        spec = PreprocessSpec((SIZE, SIZE), fit="letterbox", pad_value=0, mean=(0.0,) * 3, scale=(1 / 255,) * 3)
        predictor = Predictor.load(tiny_bundle(tmp_path / "b", manifest=tiny_manifest(preprocess=spec)), threads=1)
        [prediction] = predictor.predict_images([solid(RED, 20, 40)])
        assert prediction.confidence == pytest.approx(math.exp(2) / (math.exp(2) + 2), abs=1e-6)

    def test_open_taxonomy_knows_of_no_biodegradability(self, tmp_path: Path) -> None:
        """A taxonomy that leaves biodegradability open gives "unknown", and no second opinion."""
        model = tiny_model(outputs=[name for name in OUTPUTS if name != "biodegradable_logit"])
        path = tiny_bundle(tmp_path / "b", model, tiny_manifest(tiny_taxonomy(is_open=True)))
        [prediction] = Predictor.load(path, threads=1).predict_images([solid(GREEN)])
        assert prediction.category == "green"
        assert prediction.biodegradability == "unknown"
        assert prediction.biodegradable_probability is None
        assert prediction.to_dict()["biodegradable_probability"] is None


class TestReview:
    @pytest.mark.parametrize(
        ("thresholds", "colour", "verdict"),
        [
            (ReviewThresholds((0.96, 0.97, 0.0)), RED, Decision("accept")),
            (ReviewThresholds((0.96, 0.97, 0.0)), GREEN, Decision("review", "low_confidence")),
            # Black: each class has 1/3, so the classes say 1/3 biodegradable, and the second head 0.018.
            (ReviewThresholds((0.0,) * 3, disagreement=0.32), BLACK, Decision("accept")),
            (ReviewThresholds((0.0,) * 3, disagreement=0.31), BLACK, Decision("review", "heads_disagree")),
            # The unfamiliarity of white is 3, that of a pure colour 1.
            (ReviewThresholds((0.0,) * 3, unfamiliarity=2.9), RED, Decision("accept")),
            (ReviewThresholds((0.0,) * 3, unfamiliarity=2.9), WHITE, Decision("review", "unfamiliar")),
            (ReviewThresholds((1.0,) * 3, 0.0, unfamiliarity=2.9), WHITE, Decision("review", "unfamiliar")),
        ],
    )
    def test_reason_reaches_the_prediction(
        self, tmp_path: Path, thresholds: ReviewThresholds, colour: tuple[int, int, int], verdict: Decision
    ) -> None:
        """Each threshold of the bundle decides over photos on either side of it, with its reason."""
        path = tiny_bundle(tmp_path / "b", manifest=tiny_manifest(review=thresholds))
        prediction = Predictor.load(path, threads=1).predict_bytes(encoded(solid(colour)))
        assert prediction.verdict == verdict
        assert prediction.to_dict()["decision"] == verdict.decision
        assert prediction.to_dict()["reason"] == verdict.reason


class TestInvariants:
    def test_single_equals_batch(self, predictor: Predictor) -> None:
        """A photo alone and among 36 others gives the same scores within 1e-4."""
        photos = photos_at_random(37)
        alone = [predictor.predict_images([photo])[0] for photo in photos]
        np.testing.assert_allclose(scores_of(predictor.predict_images(photos)), scores_of(alone), atol=1e-4)

    def test_permuted_batch_gives_permuted_predictions(self, predictor: Predictor) -> None:
        """Photos in another order give the same predictions in that order."""
        photos = photos_at_random(20)
        order = np.random.default_rng(1).permutation(20)
        permuted = predictor.predict_images([photos[i] for i in order])
        np.testing.assert_allclose(scores_of(permuted), scores_of(predictor.predict_images(photos))[order], atol=1e-6)

    def test_all_ways_in_agree(self, predictor: Predictor, tmp_path: Path) -> None:
        """A file, its bytes, its pixels and the prepared input give one prediction."""
        photo = photos_at_random(1)[0]
        (tmp_path / "photo.png").write_bytes(encoded(photo))
        prepared = prepare_photo(encoded(photo), predictor.spec)[None]
        ways = [
            predictor.predict_file(tmp_path / "photo.png"),
            predictor.predict_file(str(tmp_path / "photo.png")),
            predictor.predict_bytes(encoded(photo)),
            *predictor.predict_images([photo]),
            *predictor.predict_prepared(prepared),
            *predictor.interpret(predictor.run(prepared)),
            predictor.predict_with_heatmap(encoded(photo))[0],
        ]
        np.testing.assert_allclose(scores_of(ways), np.repeat(scores_of(ways[:1]), len(ways), axis=0), atol=1e-6)

    def test_eight_threads_equal_one(self, predictor: Predictor) -> None:
        """One predictor called from eight threads at once gives what it gives one after another."""
        photos = [encoded(photo) for photo in photos_at_random(64)]
        expected = scores_of([predictor.predict_bytes(photo) for photo in photos])
        start = threading.Barrier(8, timeout=PATIENCE_S)

        def predict_some(first: int) -> list[Prediction]:
            start.wait()
            return [predictor.predict_bytes(photo) for photo in photos[first::8]]

        with ThreadPoolExecutor(8) as pool:
            for first, predictions in enumerate(pool.map(predict_some, range(8))):
                np.testing.assert_array_equal(scores_of(predictions), expected[first::8])

    def test_number_of_threads_does_not_matter(self, shared_bundle: Path) -> None:
        """One photo shared by three threads has the scores it has on one."""
        photos = photos_at_random(4)
        one, three = (Predictor.load(shared_bundle, threads=n).predict_images(photos) for n in (1, 3))
        np.testing.assert_allclose(scores_of(three), scores_of(one), atol=1e-6)

    def test_folder_and_zip_predict_alike(self, shared_bundle: Path, zipped: Path) -> None:
        """A bundle predicts the same from its zip."""
        photos = photos_at_random(4)
        folder, archive = (Predictor.load(path, threads=1).predict_images(photos) for path in (shared_bundle, zipped))
        np.testing.assert_array_equal(scores_of(archive), scores_of(folder))

    def test_thousand_classes_sum_to_one(self, tmp_path: Path) -> None:
        """The scores of 1,000 classes, rounded for JSON, still sum to 1 within 1e-5."""
        path = tiny_bundle(tmp_path / "b", tiny_model(1000), tiny_manifest(tiny_taxonomy(1000)))
        for prediction in Predictor.load(path, threads=1).predict_images([solid(RED), *photos_at_random(5)]):
            answer = json.loads(json.dumps(prediction.to_dict()))
            assert len(answer["confidence_scores"]) == 1000
            assert sum(answer["confidence_scores"].values()) == pytest.approx(1, abs=1e-5)


class TestHeatmap:
    def test_photo_is_coloured_where_it_speaks_for_the_category(self, predictor: Predictor) -> None:
        """On a photo half green, half black, green turns 65 % red at the far left, and the far right stays black."""
        prediction, overlay = predictor.predict_with_heatmap(encoded(halves(GREEN, BLACK)))
        assert prediction.category == "green"
        assert overlay.shape == (32, 32, 3)
        assert overlay.dtype == np.uint8
        # 0.35 x (0, 255, 0) + 0.65 x (255, 0, 0).
        np.testing.assert_array_equal(overlay[:, 0], np.full((32, 3), (166, 89, 0)))
        np.testing.assert_array_equal(overlay[:, -1], np.zeros((32, 3)))

    def test_large_photo_comes_out_reduced(self, predictor: Predictor) -> None:
        """The heat map of a large JPEG has the photo's proportions, and at least 768 pixels on its shorter side."""
        _, overlay = predictor.predict_with_heatmap(encoded(solid(RED, 1600, 3200), "JPEG"))
        assert overlay.shape == (800, 1600, 3)

    def test_no_evidence_leaves_the_photo(self, predictor: Predictor) -> None:
        """A black photo, in which nothing speaks for any class, stays as it is."""
        _, overlay = predictor.predict_with_heatmap(encoded(solid(BLACK)))
        np.testing.assert_array_equal(overlay, solid(BLACK))


class TestRun:
    def test_features_are_the_average_colour(self, predictor: Predictor) -> None:
        """The pooled features of the tiny network are the average colour."""
        inputs = np.stack([solid(RED, SIZE, SIZE), solid((0, 51, 255), SIZE, SIZE)])
        outputs = predictor.run(inputs, ["features"])
        assert outputs.features is not None
        np.testing.assert_allclose(outputs.features, [[1, 0, 0], [0, 0.2, 1]], atol=1e-6)
        assert outputs.attention is None
        assert outputs.unfamiliarity is None

    def test_output_the_network_lacks_is_none(self, tmp_path: Path) -> None:
        """An optional output that the network does not have comes out as None."""
        path = tiny_bundle(tmp_path / "b", tiny_model(outputs=("logits", "biodegradable_logit", "attention")))
        predictor = Predictor.load(path, threads=1)
        outputs = predictor.run(solid(RED, SIZE, SIZE)[None], OUTPUTS)
        assert outputs.features is None
        assert outputs.unfamiliarity is None
        assert predictor.predict_images([solid(RED)])[0].decision == "accept"

    @pytest.mark.parametrize(
        "inputs",
        [
            np.zeros((SIZE, SIZE, 3), np.uint8),
            np.zeros((1, SIZE, SIZE), np.uint8),
            np.zeros((1, SIZE, SIZE, 4), np.uint8),
            np.zeros((1, 3, SIZE, SIZE), np.uint8),
            np.zeros((1, SIZE + 1, SIZE, 3), np.uint8),
            np.zeros((0, SIZE, SIZE, 3), np.uint8),
            np.zeros((1, SIZE, SIZE, 3), np.float32),
            np.zeros((1, SIZE, SIZE, 3), np.int8),
        ],
        ids=lambda inputs: f"{inputs.shape} {inputs.dtype}",
    )
    def test_wrong_inputs_are_refused(self, predictor: Predictor, inputs: NDArray[np.generic]) -> None:
        """Inputs of another shape or type are refused with what was expected and what came."""
        with pytest.raises(ValueError, match=rf"expected \(n, {SIZE}, {SIZE}, 3\) uint8, got \({inputs.shape[0]}, "):
            predictor.run(inputs)  # type: ignore[arg-type]

    def test_strided_inputs_are_fine(self, predictor: Predictor) -> None:
        """A mirrored view, which is not contiguous, is taken like its copy."""
        inputs = np.stack([halves(RED, GREEN)[::2, ::2], halves(GREEN, BLUE)[::2, ::2]])
        mirrored = inputs[:, :, ::-1]
        np.testing.assert_array_equal(predictor.run(mirrored).logits, predictor.run(mirrored.copy()).logits)

    def test_no_photos_give_no_predictions(self, predictor: Predictor) -> None:
        """An empty list of photos gives an empty list."""
        assert predictor.predict_images([]) == []

    def test_nonsense_from_the_network_is_an_error(self, tmp_path: Path) -> None:
        """A network whose weights overflow gives an error, not a photo accepted with a confidence of NaN."""
        model = tiny_model()
        head = next(tensor for tensor in model.graph.initializer if tensor.name == "head")
        head.raw_data = np.full((3, 3), np.inf, np.float32).tobytes()
        predictor = Predictor.load(tiny_bundle(tmp_path / "b", model), threads=1)
        with pytest.raises(BundleError, match=r"model\.onnx: output 'logits' is not a finite number"):
            predictor.predict_images([solid(BLACK)])


class TestRefused:
    def test_missing_file(self, predictor: Predictor, tmp_path: Path) -> None:
        """A photo that is not there is an input error that names it."""
        with pytest.raises(InputError, match=r"cannot read .*nothing\.jpg"):
            predictor.predict_file(tmp_path / "nothing.jpg")

    def test_truncated_photo(self, predictor: Predictor) -> None:
        """A photo whose end is missing is refused as truncated."""
        data = encoded(photos_at_random(1)[0], "JPEG")
        with pytest.raises(TruncatedImageError):
            predictor.predict_bytes(data[: len(data) // 2])

    def test_limits_are_kept(self, predictor: Predictor, tmp_path: Path) -> None:
        """The caller's limits hold for bytes, files and heat maps."""
        data, limits = encoded(solid(RED)), ImageLimits(max_pixels=100)
        (tmp_path / "photo.png").write_bytes(data)
        for attempt in (
            lambda: predictor.predict_bytes(data, limits=limits),
            lambda: predictor.predict_with_heatmap(data, limits=limits),
            lambda: predictor.predict_file(tmp_path / "photo.png", limits=limits),
            lambda: predictor.predict_file(tmp_path / "photo.png", limits=ImageLimits(max_bytes=10)),
        ):
            with pytest.raises(ImageTooLargeError):
                attempt()

    def test_missing_bundle(self, tmp_path: Path) -> None:
        """A model that is neither a path nor a name in the package is an input error that names it."""
        with pytest.raises(InputError, match=r"no model bundle at .*nothing"):
            Predictor.load(tmp_path / "nothing")

    def test_altered_network(self, bundle: Path) -> None:
        """A bundle whose network was altered is refused when it is loaded."""
        data = bytearray((bundle / "model.onnx").read_bytes())
        data[-1] ^= 1
        (bundle / "model.onnx").write_bytes(data)
        with pytest.raises(BundleError, match=r"model\.onnx: altered"):
            Predictor.load(bundle)

    @pytest.mark.parametrize("threads", [0, -1])
    def test_no_threads(self, shared_bundle: Path, threads: int) -> None:
        """Fewer threads than one are refused."""
        with pytest.raises(ValueError, match=f"expected at least 1 thread, got {threads}"):
            Predictor(load_bundle(shared_bundle), threads=threads)


class TestCores:
    def test_cores_this_process_may_use_are_counted(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """Of a machine's cores only those count to which the process is bound."""
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5, 7}, raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: 64)
        assert available_cores(quota=tmp_path / "nothing") == 3

    @pytest.mark.parametrize(("count", "cores"), [(6, 6), (None, 1)])
    def test_system_without_affinity(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int | None, cores: int
    ) -> None:
        """Where a system cannot tell, all cores count; where it does not even know these, one."""
        monkeypatch.delattr(os, "sched_getaffinity", raising=False)
        monkeypatch.setattr(os, "cpu_count", lambda: count)
        assert available_cores(quota=tmp_path / "nothing") == cores

    def test_all_cores_are_the_default(self, shared_bundle: Path) -> None:
        """A predictor uses all cores unless told otherwise."""
        assert Predictor.load(shared_bundle).threads == available_cores()
