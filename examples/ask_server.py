"""Ask a server about photos, with nothing but Python's own library.

binsight serve, and in another window
python examples/ask_server.py http://localhost:9696 PHOTO...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen


def ask(server: str, photo: Path) -> dict[str, object]:
    """Return the server's answer to one photo; a refusal is an answer, too."""
    request = Request(f"{server}/predict", photo.read_bytes(), {"Content-Type": "application/octet-stream"})
    try:
        with urlopen(request, timeout=60) as answer:
            found: dict[str, object] = json.load(answer)
    except HTTPError as refused:
        found = json.load(refused)
    return found


if __name__ == "__main__":
    for name in sys.argv[2:]:
        answer = ask(sys.argv[1], Path(name))
        print(name, answer.get("predicted_category", answer.get("detail")), answer.get("decision", answer.get("code")))
