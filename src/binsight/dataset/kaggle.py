"""Kaggle, behind a port: what needs a set from there takes any function of this shape."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from binsight.errors import BinsightError, InputError
from binsight.extras import needs_extra

__all__ = ["KaggleClient", "download_with_kagglehub"]

KaggleClient = Callable[[str, Path], Path]
"""Brings the set of a handle (`owner/name`) below a folder and returns where its files are."""

_ACCOUNT_HELP = (
    "make an API token at https://www.kaggle.com/settings and put it into ~/.kaggle/access_token or the variable "
    "KAGGLE_API_TOKEN"
)


def download_with_kagglehub(handle: str, folder: Path) -> Path:
    """Download a set with the library kagglehub, which continues interrupted downloads and checks what it gets.

    Raises:
        MissingExtraError: kagglehub is not installed.
        InputError: Kaggle cannot be reached, or wants credentials or consent.
    """
    with needs_extra("downloading from Kaggle", "data"):
        import kagglehub  # noqa: PLC0415 - an extra
    try:
        return Path(kagglehub.dataset_download(handle, output_dir=str(folder)))
    except Exception as error:
        raise explain_failure(handle, error) from error


def explain_failure(handle: str, error: Exception) -> BinsightError:
    """What to do about an error of kagglehub, told by its name and HTTP status: its classes move between releases."""
    page = f"https://www.kaggle.com/datasets/{handle}"
    response: Any = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    names = {base.__name__ for base in type(error).__mro__}
    if status in {401, 403} or names & {"UnauthenticatedError", "CredentialError"}:
        return InputError(
            f"Kaggle refuses {handle} without an account: {_ACCOUNT_HELP}; "
            f"if the set asks for consent, give it at {page}"
        )
    if status == 404:
        return InputError(f"Kaggle has no set {handle}; see {page}")
    if names & {"ConnectionError", "Timeout", "TimeoutError", "ConnectTimeout"}:
        return InputError(f"cannot reach Kaggle for {handle}; check the connection, or download the set from {page}")
    text = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"Kaggle did not give {handle}: {text}")
