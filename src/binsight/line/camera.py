"""How the camera is, judged by its pictures: a lighting jump or noise is a state, not pieces."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from binsight.line.records import CameraState, Frame

__all__ = ["CameraWatch"]

_GRID = (12, 16)  # blocks by whose mean brightness the light is judged
_DARK_LEVEL = 12.0  # grey levels: when 95 % of the blocks are below, nothing can be seen
_JUMP_SHARE, _JUMP_LEVELS, _JUMP_RATIO = 0.6, 8.0, 0.2  # this share of the blocks changes so, one way
_DRIFT_LEVELS_S = 10.0  # grey levels a second by which light may change without being a jump
_HUNT_S, _HUNT_SWING, _HUNT_TURNS = 3.0, 0.08, 3  # so many swings of that share of the brightness in that time
_NOISE_LEVELS, _NOISE_RATIO = 12.0, 3.0  # noise above both: so many grey levels, and times the usual
_LEAST_CONTRAST = 30.0  # grey levels squared: below, nothing in the picture could be blurred
_BLUR_LEAST, _BLUR_RATIO = 0.02, 0.4  # fine over coarse contrast: at least, and as a share of the usual
# How long a fault must last before it is a state, and how long it must be gone: no state flickers.
_ENTER_S: dict[CameraState, float] = {"dark": 0.2, "unstable": 0.0, "frozen": 2.0, "blurred": 2.0}
_LEAVE_S = 1.0


@dataclass(frozen=True, slots=True)
class _Look:
    """What one picture shows."""

    blocks: NDArray[np.float32]  # mean brightness
    noise: float  # grey levels
    fineness: float | None  # fine over coarse contrast; None where there is too little to tell
    fingerprint: bytes


class CameraWatch:
    """Watches the pictures themselves: `dark`, `unstable`, `frozen` and `blurred`, else `ok`.

    Unstable is a jump of the light (most of the picture changes at once), an exposure that hunts (it swings to and fro)
    and noise. The first seconds set what is usual. What no picture shows, `absent` and `stalled`, its source knows.
    """

    def __init__(self) -> None:
        self.state: CameraState = "ok"
        self._usual: NDArray[np.float32] | None = None
        self._usual_noise = self._usual_fineness = 0.0
        self._levels: deque[tuple[float, float]] = deque()
        self._last_s: float | None = None
        self._fingerprint = b""
        self._changed_s = 0.0
        self._since: dict[CameraState, float] = {}
        self._fine_since: float | None = None

    @property
    def blind(self) -> bool:
        """Whether pictures in this state show nothing that could be trusted to be a piece."""
        return self.state in {"dark", "unstable", "frozen"}

    @property
    def repeated(self) -> bool:
        """Whether the last picture was the one before it once more, to the pixel: it shows nothing new."""
        return self._last_s is not None and self._changed_s < self._last_s

    def look(self, frame: Frame) -> CameraState:
        """The state after one more picture."""
        look, now = _examine(frame.image), frame.captured_s
        elapsed = 0.0 if self._last_s is None else max(0.0, now - self._last_s)
        self._last_s = now
        if look.fingerprint != self._fingerprint:
            self._fingerprint, self._changed_s = look.fingerprint, now
        faults = self._faults(look, now)
        self._learn(look, elapsed, usual=not faults)
        return self._settle(faults, now)

    def _faults(self, look: _Look, now: float) -> list[CameraState]:
        """What is wrong with this picture, the worst first."""
        faults: list[CameraState] = []
        if np.percentile(look.blocks, 95) < _DARK_LEVEL:
            faults.append("dark")
        if now - self._changed_s > 0:
            faults.append("frozen")
        if self._jumped(look) or self._hunts(look, now) or self._is_noisy(look):
            faults.append("unstable")
        if look.fineness is not None and look.fineness < max(_BLUR_LEAST, _BLUR_RATIO * self._usual_fineness):
            faults.append("blurred")
        return faults

    def _jumped(self, look: _Look) -> bool:
        if self._usual is None:
            return False
        change, least = look.blocks - self._usual, np.maximum(_JUMP_LEVELS, _JUMP_RATIO * self._usual)
        # All in one direction: a piece that moves on makes some blocks brighter and others darker.
        return max(float((change > least).mean()), float((change < -least).mean())) > _JUMP_SHARE

    def _hunts(self, look: _Look, now: float) -> bool:
        """Whether the brightness of the middle block turned around several times, each time by a good part of it."""
        self._levels.append((now, float(np.median(look.blocks))))
        while now - self._levels[0][0] > _HUNT_S:
            self._levels.popleft()
        swing = _HUNT_SWING * max(float(np.mean([level for _, level in self._levels])), 4 * _JUMP_LEVELS)
        turns, low, high, rising = 0, self._levels[0][1], self._levels[0][1], None
        for _, level in self._levels:
            low, high = min(low, level), max(high, level)
            if level - low > swing and rising is not True:
                turns, rising, high = turns + (rising is not None), True, level
            elif high - level > swing and rising is not False:
                turns, rising, low = turns + (rising is not None), False, level
            if rising is True:
                low = level if level >= high else low
            elif rising is False:
                high = level if level <= low else high
        return turns >= _HUNT_TURNS

    def _is_noisy(self, look: _Look) -> bool:
        return self._usual is not None and look.noise > max(_NOISE_LEVELS, _NOISE_RATIO * self._usual_noise)

    def _learn(self, look: _Look, elapsed: float, *, usual: bool) -> None:
        if self._usual is None:
            self._usual, self._usual_noise = look.blocks, look.noise
            return
        # Slowly while all is well, so that a white piece leaves no trace; quickly after a jump, to the new light.
        change = look.blocks - self._usual
        limit = _DRIFT_LEVELS_S * elapsed
        self._usual = self._usual + (np.clip(change, -limit, limit) if usual else min(1.0, elapsed / 0.4) * change)
        if usual:
            self._usual_noise += min(1.0, elapsed / 10) * (look.noise - self._usual_noise)
        if look.fineness is not None:
            rate = min(1.0, elapsed / (2.0 if look.fineness > self._usual_fineness else 300.0))
            self._usual_fineness += rate * (look.fineness - self._usual_fineness)

    def _settle(self, faults: list[CameraState], now: float) -> CameraState:
        self._since = {fault: self._since.get(fault, now) for fault in faults}
        if "frozen" in self._since:
            self._since["frozen"] = self._changed_s
        lasting = [fault for fault in faults if now - self._since[fault] >= _ENTER_S[fault]]
        if lasting:
            self.state, self._fine_since = lasting[0], None
        elif self.state in faults:
            self._fine_since = None
        elif self.state != "ok":
            self._fine_since = now if self._fine_since is None else self._fine_since
            if now - self._fine_since >= _LEAVE_S:
                self.state, self._fine_since = "ok", None
        return self.state


def _examine(image: NDArray[np.uint8]) -> _Look:
    """Measure one picture, `(h, w, 3)` uint8, by its green, in a tenth of its rows."""
    height, width = image.shape[:2]
    rows = image[:: max(1, height // 48), :, 1].astype(np.float32)
    down = np.array_split(rows, min(_GRID[0], len(rows)))
    edges = np.linspace(0, width, min(_GRID[1], width) + 1).astype(int)[:-1]
    blocks = np.stack([np.add.reduceat(part.mean(axis=0), edges) for part in down])
    blocks /= np.diff(np.append(edges, width))
    second = np.abs(rows[:, 2:] - 2 * rows[:, 1:-1] + rows[:, :-2])
    # 1.4826: from the median absolute deviation to the standard deviation; √6: of 1, -2, 1.
    noise = 1.4826 * float(np.median(second[:, ::4])) / 6**0.5 if second.size else 0.0
    # Energy of differences over 1 and over 8 pixels: of a sharp edge 1 : 8, less the wider it is. Noise is taken out.
    fine = float(np.square(np.diff(rows, axis=1)).mean()) - 2 * noise**2
    coarse = float(np.square(rows[:, 8:] - rows[:, :-8]).mean()) - 2 * noise**2 if width > 8 else 0.0
    fineness = max(0.0, fine) / coarse if coarse > max(_LEAST_CONTRAST, noise**2) else None
    return _Look(blocks, noise, fineness, rows[::4, ::8].tobytes())
