"""Look at the photos before anything is trained on them: scan, split, clean, explore, fetch.

`scan` and `read_manifest` give a `Dataset`, a table with one `Sample` per photo; the other modules work on that table
and never change a photo.
"""

from binsight.dataset.manifest import read_manifest, write_manifest
from binsight.dataset.samples import Dataset, Ignored, Sample
from binsight.dataset.scan import scan

__all__ = ["Dataset", "Ignored", "Sample", "read_manifest", "scan", "write_manifest"]
