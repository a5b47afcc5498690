"""Pictures that a camera sends by itself, by HTTP or MQTT."""

from __future__ import annotations

from functools import partial

from binsight.errors import InputError
from binsight.imaging import decode_image, read_header
from binsight.line.ports import Clock
from binsight.line.sources.slot import Shot, SlotSource

__all__ = ["PushSource"]

_RESTART_BELOW, _RESTART_AFTER_S = 16, 2.0  # a device that starts anew counts from 0, or was silent for so long
_MAX_DEVICES = 64


class PushSource(SlotSource):
    """A slot of one that `push` fills, from any thread: a newer picture displaces one that was not looked at yet."""

    def __init__(self, clock: Clock, *, stalled_after_s: float = 1.0, frames_per_second: float | None = None) -> None:
        super().__init__(clock, stalled_after_s=stalled_after_s, frames_per_second=frames_per_second)
        self._devices: dict[str, tuple[int, float]] = {}

    def push(
        self,
        data: bytes,
        *,
        age_s: float = 0.0,
        device: str = "",
        sequence: int | None = None,
        encoder: int | None = None,
    ) -> bool:
        """Take one encoded picture; only its header is read here, so that the sender gets its answer at once.

        Args:
            data: a JPEG, or what else `decode_image` reads.
            age_s: how long ago it was exposed, when it arrived: the sender's queue included.
            device: who sent it.
            sequence: the device's own number of it; one that came before, or is older, is dropped and counted.
            encoder: the belt's counts at exposure.

        Returns:
            Whether it is the newest; False for one that is too old or came twice.

        Raises:
            ImageError: no picture, or one beyond the limits.
            InputError: the age is negative or no number.
        """
        if not 0 <= age_s < float("inf"):
            raise InputError(f"expected the age of the frame in seconds, 0 or more, got {age_s}")
        read_header(data)
        captured_s = self._clock.now() - age_s
        with self._arrival:
            late = self._last_s is not None and captured_s < self._last_s
            if late or age_s > self._stalled_after_s or self._is_repeated(device, sequence):
                self._dropped += 1
                return False
        self.put(Shot(captured_s, partial(decode_image, data), encoder))
        return True

    def _is_repeated(self, device: str, sequence: int | None) -> bool:
        if sequence is None:
            return False
        now = self._clock.now()
        last, last_s = self._devices.pop(device, (-1, now))
        restarted = sequence < _RESTART_BELOW <= last or now - last_s > _RESTART_AFTER_S
        repeated = sequence <= last and not restarted
        self._devices[device] = (last if repeated else sequence, last_s if repeated else now)
        while len(self._devices) > _MAX_DEVICES:  # the one that was silent longest
            self._devices.pop(next(iter(self._devices)))
        return repeated
