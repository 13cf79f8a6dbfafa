"""Loads models: the newest version of each name that is intact and answers its golden rows on this host."""

import functools
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import attrs

from server.codec.json_rows import Codec
from server.contract.manifest import Manifest
from server.errors import CorollaError, NoSoundVersionError, RefusedError
from server.models.replay import replay
from server.models.repository import list_versions, read_package
from server.models.session import Session
from server.models.trust import TrustedKeys

logger = logging.getLogger(__name__)


@attrs.frozen(eq=False)
class Model:
    """A loaded version, ready to serve.

    Attributes:
        manifest: The facts of the version.
        session: The compiled model, warmed up.
        codec: The wire format of its requests and responses.
        batch_invariant: True if the answers to the golden rows in one batch are right too, within the tolerance.
        folder: The folder with the files of the version.
    """

    manifest: Manifest
    session: Session
    codec: Codec
    batch_invariant: bool
    folder: Path


@attrs.frozen
class Refusal:
    """A version that was found and is not served.

    Attributes:
        name: The name of the model.
        version: The number of the version.
        reason: Why it is not served.
    """

    name: str
    version: int
    reason: str


Load = Callable[[Path, str, int], Model]


@attrs.frozen(eq=False)
class Catalog:
    """The loaded models, and the versions that were refused.

    Attributes:
        models: The loaded version of each model, by name.
        refusals: Every version that was tried and refused.
    """

    models: Mapping[str, Model]
    refusals: tuple[Refusal, ...]


def load_catalog(models_dir: Path, threads: int, trusted: TrustedKeys | None = None) -> Catalog:
    """Load the newest sound version of every model.

    Args:
        models_dir: The model repository.
        threads: Number of threads that a session may use.
        trusted: Keys of which one must have signed a version; None requires no signature.

    Raises:
        NoSoundVersionError: If nothing can be served.
    """
    load = functools.partial(load_model, threads=threads, trusted=trusted)
    models: dict[str, Model] = {}
    refusals: list[Refusal] = []
    try:
        versions = list_versions(models_dir)
    except OSError as error:
        raise NoSoundVersionError(f"nothing to serve: {models_dir} cannot be read: {error}") from error
    for name, numbers in versions.items():
        refused: list[Refusal] = []
        model = load_newest(models_dir, name, numbers, load, refused)
        _log(model, refused)
        refusals += refused
        if model is not None:
            models[name] = model
    if not models:
        raise NoSoundVersionError(
            f"nothing to serve in {models_dir}: expected <name>/<version>/ folders there, as `just train-export` "
            f"publishes them, found {f'{len(refusals)}, none of them sound' if refusals else 'none'}"
        )
    return Catalog(models=models, refusals=tuple(refusals))


def load_model(folder: Path, name: str, number: int, threads: int, trusted: TrustedKeys | None = None) -> Model:
    """Load one version, and replay its golden rows one by one and as a batch. This also warms up the session.

    Args:
        folder: The folder with its files.
        name: The model name that its manifest must have.
        number: The version number that its manifest must have.
        threads: Number of threads that its session may use.
        trusted: Keys of which one must have signed it; None requires no signature.

    Raises:
        RefusedError: If the version is not sound on this host.
    """
    package = read_package(folder, name, number, trusted)
    manifest = package.manifest
    session = Session(package.model, manifest.signature, threads)
    codec = Codec(manifest.signature, manifest.model_name)
    return Model(manifest, session, codec, batch_invariant=_replay(manifest, codec, session), folder=folder)


def load_newest(
    models_dir: Path, name: str, numbers: Sequence[int], load: Load, refusals: list[Refusal]
) -> Model | None:
    """Load the first sound version of a model.

    Args:
        models_dir: The model repository.
        name: The name of the model.
        numbers: The numbers of its versions, newest first.
        load: Loads a version from its folder, given the name and number that its manifest must have.
        refusals: A list to which each refused version is appended.

    Returns:
        The model, or None if no version is sound.
    """
    for number in numbers:
        try:
            return load(models_dir / name / str(number), name, number)
        except RefusedError as error:
            refusals.append(Refusal(name, number, str(error)))
    return None


def _log(model: Model | None, refused: Sequence[Refusal]) -> None:
    for refusal in refused:
        facts = {"model": refusal.name, "version": refusal.version, "reason": refusal.reason}
        logger.error("version refused", extra={"context": facts})
    if model is not None:
        manifest = model.manifest
        loaded = {"model": manifest.name, "version": manifest.version, "model_name": manifest.model_name}
        if manifest.parity.mismatches:
            loaded["accepted_mismatches"] = manifest.parity.mismatches
        logger.info("version loaded", extra={"context": loaded})


def _replay(manifest: Manifest, codec: Codec, session: Session) -> bool:
    """Replay the golden rows.

    Returns:
        True if their answers in one batch agree with the estimator's too, within the tolerance.

    Raises:
        RefusedError: If the answer to a row by itself differs from the estimator's.
    """
    try:
        found = replay(manifest, codec, session)
    except CorollaError as error:
        raise RefusedError(f"its golden rows cannot be replayed: {error}") from error
    if found.alone.first_mismatch is not None:
        facts = {"flips": found.alone.flips, "max_difference": found.alone.max_difference}
        logger.error("golden rows", extra={"context": facts})
        raise RefusedError(
            f"golden row {found.alone.first_mismatch} is not answered on this host as the estimator answered it"
        )
    return found.together.first_mismatch is None
