"""Where the line's pictures come from; every source opens itself anew and gives the newest frame only."""

from binsight.line.sources.opening import open_source
from binsight.line.sources.push import PushSource
from binsight.line.sources.reader import ReaderSource
from binsight.line.sources.recording import RecordingSource
from binsight.line.sources.slot import Shot, SlotSource

__all__ = ["PushSource", "ReaderSource", "RecordingSource", "Shot", "SlotSource", "open_source"]
