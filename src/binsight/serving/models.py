"""The models a server holds: loaded beside the old one, verified, warmed, swapped, rolled back."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from binsight.bundle import Bundle, Manifest, load_bundle, resolve_bundle, verify_bundle, zip_bundle
from binsight.errors import BinsightError, BundleError
from binsight.loop.registry import Registry, RegistryError
from binsight.predictor import Predictor, choose_precision
from binsight.serving.memory import release_memory
from binsight.serving.placements import Placements
from binsight.serving.settings import split_model

__all__ = ["LoadedModel", "ModelStore", "NoRollbackError", "ReloadBusyError", "RolledBackError", "UnknownModelError"]

Change = Literal["loaded", "unchanged", "promoted", "rolled_back"]
_MAX_FAULTS = 5
_NETWORK_OUTPUTS = ("logits", "biodegradable_logit", "attention", "features", "unfamiliarity")


class UnknownModelError(BinsightError, LookupError):
    """No model of that name is served."""

    code: ClassVar[str] = "unknown_model"


class NoRollbackError(BinsightError, ValueError):
    """There is no earlier version to go back to."""

    code: ClassVar[str] = "conflict"


class ReloadBusyError(BinsightError, RuntimeError):
    """Another reload is under way."""

    code: ClassVar[str] = "reload_busy"


class RolledBackError(BinsightError, ValueError):
    """The bundle in place is one that was rolled back from."""

    code: ClassVar[str] = "rolled_back"


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A bundle in memory, ready to run.

    Attributes:
        name: under which it is served.
        narrow: runs each call on one thread; as many calls at a time as there are cores give the most photos a second.
        wide: shares one call among all cores that may be used; gives a lone photo the shortest wait.
        outputs: what the network gives, the names of `predictor.Outputs`.
        digest: the SHA-256 of the bundle as one zip, in hexadecimal, as a registry knows it.
        loaded_at: when.
    """

    name: str
    narrow: Predictor
    wide: Predictor
    outputs: tuple[str, ...]
    digest: str
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def bundle(self) -> Bundle:
        """Where it came from."""
        return self.narrow.bundle

    @property
    def version(self) -> str:
        """The bundle's version."""
        return self.bundle.manifest.version

    @classmethod
    def load(cls, path: Path, *, name: str | None, threads: int, precision: str = "float") -> LoadedModel:
        """Verify every file of the bundle at `path`, open it and run it once; `precision` as `choose_precision` has it.

        Raises:
            InputError: there is nothing there, or no network of that precision.
            BundleError: something is wrong with it.
        """
        if faults := verify_bundle(path):
            raise BundleError("; ".join(f"{f.file or 'bundle'}: {f.message}" for f in faults[:_MAX_FAULTS]))
        bundle = load_bundle(path)
        runs, _ = choose_precision(bundle, precision)
        narrow = Predictor(bundle, threads=1, precision=runs)
        wide = narrow if threads == 1 else Predictor(bundle, threads=threads, precision=runs)
        outputs = _warm(narrow)
        _warm(wide)
        digest = hashlib.sha256(zip_bundle(bundle)).hexdigest()
        return cls(name or bundle.manifest.name, narrow, wide, outputs, digest)


def _warm(engine: Predictor) -> tuple[str, ...]:
    """Run the network once and name its outputs: the first run allocates, and shows a graph that loads but cannot run.

    Raises:
        BundleError: it cannot run, or gives scores that are no numbers.
    """
    grey = np.full((1, *engine.spec.size, 3), 127, np.uint8)
    try:
        outputs = engine.run(grey, _NETWORK_OUTPUTS)
        prediction = engine.interpret(outputs)[0]
    except Exception as error:
        # ONNX Runtime raises a dozen unrelated types.
        raise BundleError(f"cannot run: {' '.join(str(error).split())[:200]}") from error
    if not np.isfinite(list(prediction.scores.values())).all():
        raise BundleError("gives scores that are not finite numbers")
    return tuple(name for name in _NETWORK_OUTPUTS if getattr(outputs, name) is not None)


class ModelStore:
    """The models of a server by name. Reading is safe at any time, changes happen one after another.

    Args:
        specs: `PATH`, the name of a bundle in the package, or `NAME=PATH`; the first is the default model.
        threads: of the wide engine.
        precision: of all models, as `choose_precision` has it.
        on_change: called with name, version, digest and what happened after a model was put in place.
        placements: what is served instead of `specs`, and is kept up.
        registry: its champion is served too, before the others; what is done to it is written there, so that it stays.
    """

    def __init__(
        self,
        specs: Sequence[str],
        *,
        threads: int,
        precision: str = "auto",
        on_change: Callable[[str, str, str, Change], None] | None = None,
        placements: Placements | None = None,
        registry: Registry | None = None,
    ) -> None:
        self._specs, self._threads, self._precision = tuple(specs), threads, precision
        self._placements = placements or Placements()
        self.registry, self._registered = registry, ""
        self._on_change = on_change or (lambda _name, _version, _digest, _change: None)
        self._current: dict[str, LoadedModel] = {}
        self._previous: dict[str, LoadedModel] = {}
        self._rolled_back: dict[str, list[Manifest]] = {}
        self._sources: dict[str, Path] = {}
        self._changing = threading.Lock()

    @property
    def names(self) -> list[str]:
        """The models there are, the default one first."""
        return list(self._current)

    @property
    def registered(self) -> str:
        """The name under which the registry's champion is served; empty where there is none."""
        return self._registered

    def load_all(self) -> None:
        """Load every model for the first time.

        Raises:
            BinsightError: one is missing or not sound, or two have one name.
        """
        with self._changing:
            models: dict[str, tuple[LoadedModel, Path]] = {}
            sources = [(alias, resolve_bundle(place)) for alias, place in map(split_model, self._specs)]
            if self.registry is not None:
                self.registry.repair()
                self._registered = self.registry.name
                sources.insert(0, (self._registered, self._place("champion")))
            for alias, source in sources:
                path = self._placements.existing(alias or load_bundle(source).manifest.name) or source
                try:
                    model = self._load(path, alias)
                except BundleError as error:
                    raise BundleError(f"{path}: {error}") from error  # clients are told of faults, but of no paths
                if model.name in models:
                    raise BundleError(f"two models are named {model.name!r}; serve one as another NAME=PATH")
                models[model.name] = model, source
            self._sources = {name: source for name, (_, source) in models.items()}
            self._current = {name: model for name, (model, _) in models.items()}
        release_memory()
        for name, (model, _) in models.items():
            self._on_change(name, model.version, model.digest, "loaded")

    def get(self, name: str | None = None) -> LoadedModel:
        """The model of that name, or the default one.

        Raises:
            UnknownModelError: there is none, or none is loaded yet.
        """
        current = self._current
        if name is None and current:
            return next(iter(current.values()))
        if name in current:
            return current[name]
        raise UnknownModelError(f"no model {str(name)[:64]!r}; there is {', '.join(current) or 'none yet'}")

    def source(self, name: str) -> Path:
        """Where the bundle of the settings is, whichever is served.

        Raises:
            UnknownModelError: no such model.
        """
        self.get(name)
        return self._sources[name]

    def previous_version(self, name: str) -> str | None:
        """The version of the model that a rollback would bring back."""
        if name == self._registered and self.registry is not None:
            return next((m.version for m in self.registry.models() if "previous" in m.aliases), None)
        return self._previous[name].version if name in self._previous else None

    def reload(self, name: str, path: Path | None = None, *, force: bool = False) -> Change:
        """Load the bundle again from where it came from, and put it in place if it is sound and another.

        Args:
            name: of the model.
            path: load the bundle there instead, now and after a restart.
            force: also when it is one that was rolled back from, by the hashes of its files.

        Raises:
            UnknownModelError: no such model.
            ReloadBusyError: another reload is under way.
            RolledBackError: the bundle was rolled back from; the present model stays.
            BinsightError: the bundle is missing or not sound; the old model stays.
        """
        self.get(name)
        with _exclusively(self._changing):
            old = self.get(name)
            path = path or (self._place("champion") if name == self._registered else old.bundle.path)
            found = load_bundle(path).manifest
            if found == old.bundle.manifest and path == old.bundle.path:
                return "unchanged"
            if found in self._rolled_back.get(name, ()) and not force:
                raise RolledBackError(
                    f"version {found.version} was rolled back and version {old.version} stays; put another bundle in "
                    "its place, or reload with force=1"
                )
            new = self._load(path, name)
            self._put(name, new, instead_of=old)
        release_memory()
        self._on_change(name, new.version, new.digest, "loaded")
        return "loaded"

    def promote(self, name: str, reference: str, *, by: str, override: str | None = None) -> Change:
        """Make another model of the registry its champion, and serve it.

        Args:
            name: of the registry's model.
            reference: which, as for `Registry.find`.
            by: who.
            override: why, where no gate let it pass.

        Raises:
            UnknownModelError: no such model.
            RegistryError: it is not the registry's, there is none such, or no gate let it pass.
            ReloadBusyError: a reload is under way.
            BinsightError: the model is not sound, or the registry cannot be written; the old one stays.
        """
        self.get(name)
        registry = self.registry
        if registry is None or name != self._registered:
            raise RegistryError(f"model {name!r} is in no registry; start the server with --registry")
        sha256 = registry.find(reference).sha256
        change = partial(registry.promote, sha256, by=by, override=override)
        return self._change_registered(name, sha256, change, "promoted")

    def rollback(self, name: str, *, by: str = "server", reason: str = "", of: str | None = None) -> Change:
        """Put the model before the last reload back in place; a second rollback undoes the first.

        It stays there: no reload brings back what was rolled back from, unless it is forced; in a registry, no restart
        either.

        Args:
            name: of the model.
            by: who; a registry records it.
            reason: why; the same.
            of: in a registry, only if this model is the champion still.

        Raises:
            UnknownModelError: no such model.
            NoRollbackError: there is none before it: it was never reloaded, or the registry has no previous one.
            ReloadBusyError: a reload is under way.
            BinsightError: the registry's previous model is not sound, or the registry cannot be written.
        """
        self.get(name)
        if name == self._registered and self.registry is not None:
            registry = self.registry
            if registry.aliases.previous is None:
                raise NoRollbackError(f"model {name!r} has no previous one in its registry: nothing to roll back to")
            change = partial(registry.rollback, by=by, reason=reason, of=of)
            return self._change_registered(name, "previous", change, "rolled_back")
        with _exclusively(self._changing):
            current, earlier = self.get(name), self._previous.get(name)
            if earlier is None:
                raise NoRollbackError(f"model {name!r} was not reloaded since the start: nothing to roll back to")
            self._rolled_back.setdefault(name, []).append(current.bundle.manifest)
            self._put(name, earlier, instead_of=current)
        self._on_change(name, earlier.version, earlier.digest, "rolled_back")
        return "rolled_back"

    def _load(self, path: Path, name: str | None) -> LoadedModel:
        return LoadedModel.load(path, name=name, threads=self._threads, precision=self._precision)

    def _place(self, reference: str) -> Path:
        """The file of a model of the registry."""
        assert self.registry is not None  # noqa: S101 - only asked for with one
        return self.registry.path(self.registry.find(reference).sha256)

    def _change_registered(self, name: str, reference: str, write: Callable[[], object], change: Change) -> Change:
        """Load a model of the registry, then let the registry say that it is the champion, then serve it."""
        with _exclusively(self._changing):
            old = self.get(name)
            new = self._load(self._place(reference), name)
            write()
            self._put(name, new, instead_of=old)
        release_memory()
        self._on_change(name, new.version, new.digest, change)
        return change

    def _put(self, name: str, model: LoadedModel, *, instead_of: LoadedModel) -> None:
        self._placements.follow(name, model.bundle.path)
        rejected = self._rolled_back.get(name, [])
        self._rolled_back[name] = [manifest for manifest in rejected if manifest != model.bundle.manifest]
        self._previous[name] = instead_of
        self._current = {**self._current, name: model}


@contextmanager
def _exclusively(lock: threading.Lock) -> Iterator[None]:
    """Holds a lock, or says at once that someone else does."""
    if not lock.acquire(blocking=False):
        raise ReloadBusyError("another reload is under way; try again when it is done")
    try:
        yield
    finally:
        lock.release()
