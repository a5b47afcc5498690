"""Video by PyAV: files, V4L2, RTSP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from binsight.errors import BrokenImageError, InputError
from binsight.extras import needs_extra
from binsight.line.ports import Clock
from binsight.line.sources.slot import Shot
from binsight.line.sources.stamps import StampClock

if TYPE_CHECKING:
    import av
    import av.container

__all__ = ["LiveVideo", "open_video", "read_video"]

_LOW_DELAY = {"fflags": "nobuffer", "flags": "low_delay"}
_JUMP_S = 5.0  # a stream's clock that jumps by so much was set anew


class LiveVideo:
    """Frames of a camera as they come, with the time at which they were taken.

    A stream's own time stamps tell how long a frame was under way compared with the fastest one so far: after a stall,
    what was held up arrives at once and is old.

    Args:
        url: what PyAV opens.
        format: of the container, where the address does not tell: `v4l2`.
        options: for FFmpeg.
        clock: the line's.
        open_timeout_s, read_timeout_s: for the connection, and for each packet.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Clock,
        format: str | None = None,  # noqa: A002 - PyAV's name for it
        options: dict[str, str] | None = None,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 2.0,
    ) -> None:
        _import_av()
        self._url, self._format, self._clock = url, format, clock
        self._options = {**_LOW_DELAY, **(options or {})}
        self._timeout = (open_timeout_s, read_timeout_s)

    def __call__(self, stop: threading.Event) -> Iterator[Shot]:
        """Open and give shots until something fails; errors are PyAV's."""
        stamps = StampClock(jump_s=_JUMP_S)
        with open_video(self._url, format=self._format, options=self._options, timeout=self._timeout) as container:
            for frame in container.decode(video=0):
                if stop.is_set():
                    return
                now = self._clock.now()
                yield Shot(now if frame.time is None else stamps.tell(frame.time, now), partial(_to_rgb, frame))


def _to_rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    if frame.is_corrupt:
        raise BrokenImageError("the video frame is damaged: a part of the stream was lost")
    return np.asarray(frame.to_ndarray(format="rgb24"))


def open_video(path: str, **options: Any) -> av.container.InputContainer:
    """Open a file or stream that has pictures.

    Raises:
        MissingExtraError: PyAV is not installed.
        InputError: there are no pictures in it.
        OSError: it cannot be opened; errors of PyAV's own derive from `Exception` alone.
    """
    container: av.container.InputContainer = _import_av().open(path, **options)
    if not container.streams.video:
        container.close()
        raise InputError(f"expected a video, got {path} without pictures in it")
    container.streams.video[0].thread_type = "SLICE"  # threads by frame hold back as many frames as there are threads
    return container


def read_video(path: str) -> Iterator[Shot]:
    """Every frame of a file, `captured_s` from 0 in the file's own time.

    Raises:
        InputError: it cannot be opened, or holds no pictures; what is damaged ends it.
    """
    module = _import_av()
    try:
        container = open_video(path)
    except (OSError, module.FFmpegError) as error:
        raise InputError(_cannot_read(path, error)) from error
    with container:
        rate = float(container.streams.video[0].average_rate or 25)
        first_s: float | None = None
        at_s = -1 / rate
        try:
            for frame in container.decode(video=0):
                stamp = frame.time
                first_s = stamp if first_s is None else first_s
                later = stamp is not None and first_s is not None and stamp - first_s > at_s
                at_s = stamp - first_s if later and stamp is not None and first_s is not None else at_s + 1 / rate
                yield Shot(at_s, partial(_to_rgb, frame))
        except module.FFmpegError as error:
            if at_s < 0:
                raise InputError(_cannot_read(path, error)) from error


def _cannot_read(path: str, error: Exception) -> str:
    return f"cannot read the video {path}: {error}; expected a whole file that ffprobe can read: copy it again"


def _import_av() -> Any:
    with needs_extra("Video", "line-video"):
        import av  # noqa: PLC0415 - an extra
    return av
