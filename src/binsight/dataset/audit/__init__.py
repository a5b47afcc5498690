"""What is wrong with a data set, found before a model learns it.

`audit` looks at everything and gives an `Audit`: findings with a severity, the files, and what to do. `render_report`
in `binsight.dataset.audit.report` makes one HTML page of it.
"""

from binsight.dataset.audit.checks import audit
from binsight.dataset.audit.findings import BLOCKING_KINDS, KINDS, SEVERITIES, Audit, Finding, Skipped
from binsight.dataset.audit.settings import AuditSettings

__all__ = ["BLOCKING_KINDS", "KINDS", "SEVERITIES", "Audit", "AuditSettings", "Finding", "Skipped", "audit"]
