"""What is loaded: packages -> models whose golden rows replayed right; knows nothing of HTTP."""

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
    """A version that is ready to answer.

    Attributes:
        manifest: Its facts.
        session: Its compiled model, warm.
        codec: Its wire format.
        batch_invariant: Whether its golden rows are answered together as they are alone, within the tolerance.
        folder: Where its files are.
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
        name: The model's name.
        version: The version's number.
        reason: Why.
    """

    name: str
    version: int
    reason: str


Load = Callable[[Path, str, int], Model]


@attrs.frozen(eq=False)
class Catalog:
    """All that is loaded, and what was refused on the way.

    Attributes:
        models: The loaded version of each model, by the model's name.
        refusals: Every version that was tried and refused.
    """

    models: Mapping[str, Model]
    refusals: tuple[Refusal, ...]


def load_catalog(models_dir: Path, threads: int, trusted: TrustedKeys | None = None) -> Catalog:
    """Loads the newest sound version of every model.

    Args:
        models_dir: The model repository.
        threads: How many threads a session may use.
        trusted: Whose signature a version must bear; None takes those without one.

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
        _tell(model, refused)
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
    """Loads one version and replays its golden rows, alone and together, which also warms the session.

    Args:
        folder: Where its files are.
        name: The model's name that it must have.
        number: The version's number that it must have.
        threads: How many threads its session may use.
        trusted: Whose signature it must bear; None takes it without one.

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
    """Loads the first version of a model that is sound, or none.

    Args:
        models_dir: The model repository.
        name: The model's name.
        numbers: Its versions, the newest first.
        load: Loads a version from its folder, given the name and the number that it must have.
        refusals: Takes each version that was refused on the way.
    """
    for number in numbers:
        try:
            return load(models_dir / name / str(number), name, number)
        except RefusedError as error:
            refusals.append(Refusal(name, number, str(error)))
    return None


def _tell(model: Model | None, refused: Sequence[Refusal]) -> None:
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
        Whether they are answered together as they are alone, within the tolerance.

    Raises:
        RefusedError: If one of them, alone, is answered otherwise than the estimator did.
    """
    try:
        found = replay(manifest, codec, session)
    except CorollaError as error:
        raise RefusedError(f"its golden rows cannot be replayed: {error}") from error
    if found.alone.first_off is not None:
        facts = {"flips": found.alone.flips, "max_difference": found.alone.max_difference}
        logger.error("golden rows", extra={"context": facts})
        raise RefusedError(
            f"golden row {found.alone.first_off} is not answered on this host as the estimator answered it"
        )
    return found.together.first_off is None
