"""An annotated video, frame by frame."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from binsight.errors import OutputError
from binsight.extras import needs_extra
from binsight.system_errors import describe_os_error

__all__ = ["VIDEO_SUFFIXES", "Recorder", "recording"]

_CODECS = {".mp4": "libx264", ".mkv": "libx264", ".mov": "libx264", ".webm": "libvpx-vp9"}
VIDEO_SUFFIXES = frozenset(_CODECS)
_TICKS = 90_000  # a second


class Recorder:
    """Takes pictures with their times; all are brought to the size of the first.

    Args:
        container: PyAV's, open for writing.
        codec: FFmpeg's name.
    """

    def __init__(self, container: Any, codec: str) -> None:
        self._container, self._codec = container, codec
        self._stream: Any = None
        self._last = -1

    def add(self, image: Image.Image, at_s: float) -> None:
        """Append one picture, shown from `at_s` on; times rise."""
        import av  # noqa: PLC0415 - an extra

        if self._stream is None:
            self._stream = self._container.add_stream(self._codec, rate=30)
            # Codecs want even sides.
            self._stream.width, self._stream.height = image.width // 2 * 2, image.height // 2 * 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, _TICKS)
        size = (self._stream.width, self._stream.height)
        if (image.width // 2 * 2, image.height // 2 * 2) != size:
            image = image.resize(size)
        pixels = np.asarray(image)[: size[1], : size[0]]
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
        self._last = frame.pts = max(self._last + 1, round(at_s * _TICKS))
        frame.time_base = Fraction(1, _TICKS)
        self._container.mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the codec still holds."""
        if self._stream is not None:
            self._container.mux(self._stream.encode())


@contextlib.contextmanager
def recording(path: Path) -> Iterator[Recorder]:
    """A recorder whose video takes the place of `path` when the block ends without an error.

    Raises:
        MissingExtraError: PyAV is not installed.
        OutputError: it cannot be written.
    """
    with needs_extra("Video", "line-video"):
        import av  # noqa: PLC0415 - an extra
    draft = path.with_name(f".{uuid.uuid4().hex}{path.suffix.lower()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(draft), "w") as container:
            recorder = Recorder(container, _CODECS[path.suffix.lower()])
            yield recorder
            recorder.finish()
        draft.replace(path)
    except (OSError, av.FFmpegError) as error:
        words = describe_os_error(error, named=False) if isinstance(error, OSError) else str(error)
        raise OutputError(f"cannot write {path}: {words}") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
