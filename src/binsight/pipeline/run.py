"""What all stages of a training share: configuration, photos, the work folder, and features of photos."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from binsight.dataset import Dataset
from binsight.files import write_whole
from binsight.pipeline.backbone import ChosenBackbone
from binsight.pipeline.config import TrainConfig
from binsight.pipeline.data import PreparedData, prepare_data
from binsight.pipeline.reporting import Reporter, SilentReporter
from binsight.pipeline.work import Work, key_of
from binsight.predictor import available_cores
from binsight.training.features import AugmentedView, FeatureExtractor, KnownFeatures, View, check_known
from binsight.training.heads.small_fit import FeatureSet

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = ["FeatureSource", "Means", "Run", "frozen_graph"]


class Means(TypedDict, total=False):
    """By what a training or a search is carried out; none of it changes what comes out.

    Attributes:
        content_cache: an SQLite file that remembers what an audit measures, by content.
        workers: photos to work on at a time; by default one per core.
        reporter: is told what happens.
        known: features of the frozen backbone that need not be computed.
    """

    content_cache: Path | None
    workers: int | None
    reporter: Reporter | None
    known: KnownFeatures | None


@dataclass(frozen=True)
class Run:
    """A training under way.

    Attributes:
        config: what was chosen.
        data: the photos.
        work: what has been done so far.
        reporter: is told what happens.
        workers: photos to work on at a time.
    """

    config: TrainConfig
    data: PreparedData
    work: Work
    reporter: Reporter
    workers: int

    @classmethod
    def begin(
        cls, dataset: Dataset, config: TrainConfig, work: Work, chosen: ChosenBackbone, **means: Unpack[Means]
    ) -> Run:
        """A training whose photos are audited and divided; see `prepare_data`.

        Raises:
            SettingsError: what is known is of another backbone than `chosen`; this is said before any work is done.
        """
        reporter, workers = means.get("reporter") or SilentReporter(), means.get("workers") or available_cores()
        if (known := means.get("known")) is not None:
            check_known(known, frozen_graph(work, chosen, reporter).read_bytes(), chosen.spec)
        data = prepare_data(
            dataset,
            config.data,
            seed=config.seed,
            work=work,
            reporter=reporter,
            content_cache=means.get("content_cache"),
            workers=workers,
        )
        run = cls(config, data, work, reporter, workers)
        if known is not None:
            run.frozen_source(chosen).take(known)
        return run

    @property
    def classes(self) -> int:
        """How many there are."""
        return len(self.data.taxonomy)

    @property
    def study_url(self) -> str:
        """The database of the study."""
        return self.config.tuning.storage or f"sqlite:///{(self.work.root / 'study.sqlite').as_posix()}"

    def frozen_source(self, chosen: ChosenBackbone) -> FeatureSource:
        """Features from a backbone with its starting weights; its graph is kept in the work folder."""
        return FeatureSource(self, frozen_graph(self.work, chosen, self.reporter), chosen)


def frozen_graph(work: Work, chosen: ChosenBackbone, reporter: Reporter) -> Path:
    """The work folder's file of a backbone's graph with its starting weights, written when it is missing."""
    path = work.folder("graphs") / f"frozen-{key_of(chosen.identity(), chosen.spec.to_dict())}.onnx"
    if not path.is_file():
        reporter.stage(f"Preparing {chosen.backbone.name}")
        write_whole(path, chosen.to_onnx().SerializeToString())
    return path


class FeatureSource:
    """Features of a run's photos from one backbone graph; computed once, then cached in the work folder.

    Args:
        run: whose photos.
        path: the graph's file.
        chosen: the backbone it is of.
    """

    def __init__(self, run: Run, path: Path, chosen: ChosenBackbone) -> None:
        data = path.read_bytes()
        self.chosen = chosen
        self.path = path
        self.key = key_of(hashlib.sha256(data).hexdigest(), chosen.spec.to_dict(), run.data.sha256)
        self._run = run
        self._extractor = FeatureExtractor(data, chosen.spec, cache=run.work.folder("features"), workers=run.workers)

    def take(self, known: KnownFeatures) -> None:
        """Use features that were computed elsewhere, and that are of this backbone (see `Run.begin`)."""
        self._run.reporter.stage(f"Taking the features of {known.where}")
        self._run.reporter.say(f"features of {self._extractor.take(known):,} photos are taken from {known.where}")

    def graph(self) -> ModelProto:
        """The backbone as ONNX."""
        from onnx import load_model  # noqa: PLC0415 - takes a while

        return load_model(self.path)

    def of_split(self, name: str, view: View = "upright", *, what: str = "") -> NDArray[np.float32]:
        """The features of a split's photos, `(n, d)`."""
        label = what or (name if view == "upright" else f"{name}, {_describe(view)}")
        return self.of_photos(self._run.data.splits[name].paths, view, what=label)

    def of_photos(self, paths: Sequence[Path], view: View = "upright", *, what: str) -> NDArray[np.float32]:
        """The features of any photos, `(n, d)`."""
        progress = self._run.reporter.stage(f"{self.chosen.backbone.name} {self.chosen.size} px: {what}")
        return self._extractor.extract(paths, view=view, progress=progress)

    def compute(self, paths: Sequence[Path]) -> NDArray[np.float32]:
        """The features of any photos, `(n, d)`, computed anew and not kept."""
        run = self._run
        extractor = FeatureExtractor(self.path.read_bytes(), self.chosen.spec, cache=None, workers=run.workers)
        return extractor.extract(paths)

    def views(self, name: str, *views: View) -> FeatureSet:
        """A split's photos as they are, and in further views."""
        data = self._run.data
        rows = [self.of_split(name, view) for view in ("upright", *views)]
        return FeatureSet(rows, data.splits[name].labels, data.truth(name))


def _describe(view: View) -> str:
    return f"altered {view.draw + 1}" if isinstance(view, AugmentedView) else view
