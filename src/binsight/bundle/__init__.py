"""Read, verify and write model bundles; the format is specified in `docs/bundle-format.md`."""

from binsight.bundle.bundle import Bundle, builtin_bundles, load_bundle, resolve_bundle
from binsight.bundle.calibration_record import CalibrationRecord, photo_key, read_calibration
from binsight.bundle.container import FileEntry
from binsight.bundle.manifest import Manifest, Metric, SplitMetrics
from binsight.bundle.replay import CameraPhotos, Replay, make_replay, read_replay
from binsight.bundle.verify import Fault, verify_bundle
from binsight.bundle.write import check_target, pack_bundle, write_bundle, zip_bundle

__all__ = [
    "Bundle",
    "CalibrationRecord",
    "CameraPhotos",
    "Fault",
    "FileEntry",
    "Manifest",
    "Metric",
    "Replay",
    "SplitMetrics",
    "builtin_bundles",
    "check_target",
    "load_bundle",
    "make_replay",
    "pack_bundle",
    "photo_key",
    "read_calibration",
    "read_replay",
    "resolve_bundle",
    "verify_bundle",
    "write_bundle",
    "zip_bundle",
]
