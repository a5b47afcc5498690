"""From what `[camera] source` says to a source."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from binsight.addresses import is_address
from binsight.errors import InputError
from binsight.line.ports import Clock, Source
from binsight.line.sources.mjpeg import MotionJpeg
from binsight.line.sources.push import PushSource
from binsight.line.sources.reader import ReaderSource, Shots
from binsight.line.sources.recording import RecordingSource, play, read_folder
from binsight.line.sources.slot import Shot
from binsight.line.sources.snapshot import Snapshots
from binsight.line.sources.video import LiveVideo, read_video

__all__ = ["open_source"]

_KINDS = "rtsp://…, /dev/video0, a video file, http://… (a JPEG), mjpeg http://…, folder:DIR, push"


def open_source(
    uri: str,
    clock: Clock,
    *,
    frames_per_second: float = 20.0,
    open_timeout_s: float = 10.0,
    stalled_after_s: float = 1.0,
    every_frame: bool = False,
) -> Source:
    """A source by its address; a camera that is not there yet is fine.

    Args:
        uri: `rtsp://…`, `/dev/video0`, a video file, `http://…` for one JPEG a request, `mjpeg http://…`,
            `folder:DIR`, or `push`.
        clock: the line's.
        frames_per_second: what is looked at, at most; for a folder, its rate.
        open_timeout_s: for a camera to answer.
        stalled_after_s: without a new frame for so long the camera is `stalled`, and a frame that old is dropped.
        every_frame: give all frames of a file or folder, in its own time, as fast as they are asked for; a camera
            cannot do that. Without it a recording plays in real time.

    Raises:
        InputError: the address is none of these, or the file or folder is not there.
        MissingExtraError: PyAV is needed and not installed.
    """
    scheme, _, rest = uri.partition(":")
    if uri == "push":
        return PushSource(clock, stalled_after_s=stalled_after_s, frames_per_second=frames_per_second)
    # A camera that stalls is opened anew: after two frames of the slowest rate that is not `stalled`, at least 2 s.
    read_timeout_s = max(2.0, 2 * stalled_after_s)
    shots = _live(uri, clock, frames_per_second, open_timeout_s, read_timeout_s)
    if shots is not None:
        return ReaderSource(
            shots,
            name=_without_password(uri),
            clock=clock,
            stalled_after_s=stalled_after_s,
            frames_per_second=frames_per_second,
        )
    recording: Callable[[], Iterator[Shot]]
    if scheme == "folder":
        if not Path(rest).is_dir():
            raise InputError(f"expected a folder of pictures, got {rest}")
        recording = partial(read_folder, Path(rest), frames_per_second=frames_per_second)
    elif Path(uri).is_file():
        recording = partial(read_video, uri)
    else:
        raise InputError(f"expected a camera ({_KINDS}), got {_without_password(uri)!r}, and there is no such file")
    if every_frame:
        return RecordingSource(recording, started_s=clock.now())
    return ReaderSource(play(recording, clock), name=uri, clock=clock, stalled_after_s=stalled_after_s, finite=True)


def _live(
    uri: str, clock: Clock, frames_per_second: float, open_timeout_s: float, read_timeout_s: float
) -> Shots | None:
    """The reader of a camera; None when the address is none of a camera."""
    if "://" in uri:
        _check_address(uri)
    common: dict[str, Any] = {"clock": clock, "open_timeout_s": open_timeout_s, "read_timeout_s": read_timeout_s}
    video: Callable[..., Shots] = partial(LiveVideo, **common)
    if uri.startswith(("rtsp://", "rtsps://")):
        return video(uri, options={"rtsp_transport": "tcp"})
    if uri.startswith(("mjpeg http://", "mjpeg https://")):
        return MotionJpeg(uri.removeprefix("mjpeg "), **common)
    if uri.startswith(("http://", "https://")):
        return Snapshots(uri, frames_per_second=frames_per_second, **common)
    if uri.startswith("/dev/") or _is_device(uri):
        return video(uri, format="v4l2", options={"framerate": f"{frames_per_second:g}"})
    return None


def _check_address(uri: str) -> None:
    """That it can be connected to: else the camera would be absent for ever.

    Raises:
        InputError: no host, or no port, in it.
    """
    if not is_address(uri.removeprefix("mjpeg ")):
        raise InputError(f"expected an address such as http://camera:80/capture, got {_without_password(uri)!r}")


def _is_device(path: str) -> bool:
    try:
        return stat.S_ISCHR(Path(path).stat().st_mode)
    except (OSError, ValueError):
        return False


def _without_password(uri: str) -> str:
    """The address as it may be shown."""
    try:
        netloc = urlsplit(uri.removeprefix("mjpeg ").strip()).netloc
    except ValueError:
        return uri.partition("@")[2] or uri
    return uri.replace(netloc, netloc.rpartition("@")[2]) if "@" in netloc else uri
