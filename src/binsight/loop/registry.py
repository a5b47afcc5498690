"""The registry: models that never change, and which of them is champion, challenger, previous.

    DIR/models/<sha>.zip    immutable; named by the SHA-256 of the file
    DIR/ledger.jsonl        what was done, and by whom; the truth
    DIR/aliases.json        what the last line says of the aliases, for other programs; replaced whole

A change is a line in the ledger first. Whoever is killed between the two leaves aliases that are one change old and
point at whole models; the next who writes, or a server that starts, brings them up to date.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal
from uuid import uuid4

from binsight.bundle import load_bundle, pack_bundle, verify_bundle
from binsight.errors import BinsightError, BundleError, InputError
from binsight.files import write_whole
from binsight.loop.ledger import Entry, Ledger, utc_now

__all__ = ["Aliases", "NotProvenError", "RegisteredModel", "Registry", "RegistryError", "aliases_of", "since_rejected"]

Alias = Literal["champion", "challenger", "previous"]
_ALIASES: tuple[Alias, ...] = ("champion", "challenger", "previous")
_REFERENCE = re.compile(r"[0-9a-f]{6,64}")
_SHOWN = 12
_MAX_REASON = 500


class RegistryError(BinsightError, ValueError):
    """The registry has no such model, or a change is not possible."""

    code: ClassVar[str] = "registry"


class NotProvenError(RegistryError):
    """No gate has found that a model may take the champion's place."""

    code = "not_proven"


@dataclass(frozen=True, slots=True)
class Aliases:
    """Which model is which, by the SHA-256 of its file; None: there is none."""

    champion: str | None = None
    challenger: str | None = None
    previous: str | None = None

    def of(self, sha256: str) -> list[str]:
        """What a model is called."""
        return [name for name in _ALIASES if getattr(self, name) == sha256]


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """One model.

    Attributes:
        sha256: of its file.
        name: of the bundle.
        version: of the bundle.
        created: when the bundle was made.
        added: when it was registered.
        aliases: what it is called now.
    """

    sha256: str
    name: str
    version: str
    created: str
    added: str
    aliases: tuple[str, ...]

    @property
    def label(self) -> str:
        """Name, version and the beginning of the hash, as people write them."""
        return f"{self.name} {self.version} ({self.sha256[:_SHOWN]})"


class Registry:
    """The registry in a folder; programs and threads may share it.

    Args:
        directory: the folder.
        create: make it when it is missing.
        now: the clock.

    Raises:
        InputError: there is no registry, and `create` is false.
    """

    def __init__(self, directory: Path, *, create: bool = False, now: Callable[[], datetime] = utc_now) -> None:
        self.directory = directory
        self.ledger = Ledger(directory / "ledger.jsonl", now=now)
        if not create and not self.ledger.path.is_file():
            raise InputError(f"no registry in {directory}; `binsight registry add` makes one")

    @property
    def name(self) -> str:
        """Under which its champion is served: the name of the first model.

        Raises:
            RegistryError: there is none yet.
        """
        models = self.models()
        if not models:
            raise RegistryError("the registry has no model; `binsight registry add` adds one")
        return models[0].name

    @property
    def aliases(self) -> Aliases:
        """As the ledger has them."""
        return aliases_of(self.ledger.read())

    def models(self) -> list[RegisteredModel]:
        """All models, in the order in which they came."""
        entries = self.ledger.read()
        aliases = aliases_of(entries)
        first: dict[str, Entry] = {}
        for entry in entries:
            if entry.event == "add":
                first.setdefault(entry.details["model"], entry)
        return [_model(entry, aliases) for entry in first.values()]

    def find(self, reference: str) -> RegisteredModel:
        """The model meant by an alias, the beginning of a hash (6 digits or more), or a version that is there once.

        Raises:
            RegistryError: none, or several.
        """
        models = self.models()
        if reference in _ALIASES:
            found = [m for m in models if reference in m.aliases]
        else:
            by_hash = bool(_REFERENCE.fullmatch(reference))
            found = [m for m in models if m.version == reference or (by_hash and m.sha256.startswith(reference))]
        if len(found) == 1:
            return found[0]
        listed = ", ".join(m.label for m in found or models) or "none"
        what = f"{reference[:64]!r} means several" if found else f"the registry has no model {reference[:64]!r}"
        raise RegistryError(f"{what}; there are {listed}")

    def path(self, sha256: str) -> Path:
        """The file of a model."""
        return self.directory / "models" / f"{sha256}.zip"

    def check(self, sha256: str) -> None:
        """Make sure that a model's file is what it was when it was added.

        Raises:
            BundleError: it is missing, or was altered.
        """
        path = self.path(sha256)
        try:
            data = path.read_bytes()
        except OSError as error:
            raise BundleError(f"models/{path.name}: {error.strerror or error}; bring back a copy") from error
        if hashlib.sha256(data).hexdigest() != sha256:
            raise BundleError(f"models/{path.name}: altered: its content does not match its name; bring back a copy")

    def add(self, bundle: Path, *, by: str, **details: Any) -> RegisteredModel:
        """Take a copy of a bundle; it becomes the challenger, or the champion where there is none.

        Adding a model that is there makes it the challenger, unless it is the champion.

        Args:
            bundle: a folder or zip; it is not changed.
            by: who.
            details: what else to record.

        Raises:
            InputError: there is no bundle.
            BundleError: it is not sound.
            OutputError: the registry cannot be written.
        """
        if faults := verify_bundle(bundle):
            raise BundleError("; ".join(f"{bundle}: {f.file or 'bundle'}: {f.message}" for f in faults[:5]))
        manifest = load_bundle(bundle).manifest
        with self.ledger.writing():
            self._sweep()
            sha256 = self._store(bundle)
            entries = self.ledger.read()
            aliases = aliases_of(entries)
            if aliases.champion is None:
                aliases = replace(aliases, champion=sha256)
            elif sha256 != aliases.champion:
                aliases = replace(aliases, challenger=sha256)
            is_known = any(e.event == "add" and e.details["model"] == sha256 for e in entries)
            if not is_known or aliases != aliases_of(entries):
                about = {"name": manifest.name, "version": manifest.version, "created": manifest.created}
                self.ledger.append("add", model=sha256, **about, by=by, **details, aliases=asdict(aliases))
            self._write_aliases()
        return self.find(sha256)

    def promote(self, reference: str = "challenger", *, by: str, override: str | None = None) -> RegisteredModel:
        """Make a model the champion; the champion becomes the previous one.

        Args:
            reference: as for `find`.
            by: who.
            override: why it is promoted although no gate has found that it may be; recorded.

        Raises:
            NotProvenError: no gate let this model take this champion's place, and there is no `override`.
            RegistryError: no such model, or it is the champion.
            BundleError: its file is not what it was.
            OutputError: the registry cannot be written.
        """
        with self.ledger.writing():
            model, entries = self.find(reference), self.ledger.read()
            aliases = aliases_of(entries)
            if model.sha256 == aliases.champion:
                raise RegistryError(f"{model.label} is the champion already")
            self.check(model.sha256)
            proof = _proof(entries, model.sha256, aliases.champion)
            if proof is None and not override:
                raise NotProvenError(
                    f"no gate has found that {model.label} may take the champion's place: run `binsight gate "
                    "CHALLENGER --against CHAMPION --data DIR --registry DIR`, or give --override REASON"
                )
            challenger = None if model.sha256 == aliases.challenger else aliases.challenger
            after = Aliases(model.sha256, challenger, aliases.champion)
            reason = {} if not override else {"override": override[:_MAX_REASON]}
            self.ledger.append(
                "promote", model=model.sha256, by=by, proof=proof, **reason, aliases=asdict(after)
            )  # fmt: skip
            self._write_aliases()
        return self.find(model.sha256)

    def rollback(self, *, by: str, reason: str = "", of: str | None = None) -> RegisteredModel:
        """Bring the previous champion back, for good: what was champion becomes the previous one.

        Args:
            by: who.
            reason: why; recorded.
            of: only if this model is the champion still; None: whichever is.

        Raises:
            RegistryError: there is no previous one, or another model than `of` is the champion.
            BundleError: its file is not what it was.
            OutputError: the registry cannot be written.
        """
        with self.ledger.writing():
            aliases = self.aliases
            if aliases.previous is None:
                raise RegistryError("there is no previous model to roll back to")
            if of not in {None, aliases.champion}:
                raise RegistryError(f"model {of[:_SHOWN] if of else of} is not the champion any more")
            self.check(aliases.previous)
            after = Aliases(aliases.previous, aliases.challenger, aliases.champion)
            self.ledger.append(
                "rollback", model=aliases.previous, by=by, reason=reason[:_MAX_REASON], aliases=asdict(after)
            )
            self._write_aliases()
        return self.find("champion")

    def repair(self) -> None:
        """Bring `aliases.json` up to date and remove drafts, after somebody was killed.

        Raises:
            OutputError: the registry cannot be written.
            LedgerError: the ledger was altered.
        """
        with self.ledger.writing():
            self._sweep()
            self._write_aliases()

    def _store(self, bundle: Path) -> str:
        draft = self.directory / "models" / f".{uuid4().hex}.zip"
        try:
            pack_bundle(bundle, draft)
            sha256 = hashlib.sha256(draft.read_bytes()).hexdigest()
            if not self.path(sha256).exists():
                draft.replace(self.path(sha256))
        finally:
            draft.unlink(missing_ok=True)
        return sha256

    def _sweep(self) -> None:
        for draft in (self.directory / "models").glob(".*"):
            shutil.rmtree(draft, ignore_errors=True) if draft.is_dir() else draft.unlink(missing_ok=True)

    def _write_aliases(self) -> None:
        path, text = self.directory / "aliases.json", json.dumps(asdict(self.aliases), indent=2) + "\n"
        if not path.is_file() or path.read_bytes() != text.encode():
            write_whole(path, text)


def aliases_of(entries: Iterable[Entry]) -> Aliases:
    """What the last line of a ledger that says anything of them says of the aliases."""
    found = [entry.details["aliases"] for entry in entries if "aliases" in entry.details]
    return Aliases(**found[-1]) if found else Aliases()


def _model(entry: Entry, aliases: Aliases) -> RegisteredModel:
    about = {key: entry.details[key] for key in ("name", "version", "created")}
    sha256 = entry.details["model"]
    return RegisteredModel(sha256, **about, added=entry.at, aliases=tuple(aliases.of(sha256)))


def since_rejected(entries: Iterable[Entry], sha256: str) -> list[Entry]:
    """The lines after the last rollback from a model: what was found of it before is refuted."""
    found: list[Entry] = []
    for entry in entries:
        if entry.event == "rollback" and entry.details["aliases"]["previous"] == sha256:
            found = []
        found.append(entry)
    return found


def _proof(entries: Iterable[Entry], challenger: str, champion: str | None) -> str | None:
    """The hash of the line in which the newest gate let the challenger take the champion's place; None: it did not."""
    if champion is None:
        return "none needed"
    gates = [
        entry
        for entry in since_rejected(entries, challenger)
        if entry.event == "gate" and (entry.details["challenger"], entry.details["champion"]) == (challenger, champion)
    ]
    return gates[-1].sha256 if gates and gates[-1].details["verdict"] == "promote" else None
