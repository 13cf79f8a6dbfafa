"""What is loaded: packages -> models whose golden rows replayed right; knows nothing of HTTP."""

import logging
from collections.abc import Mapping
from pathlib import Path

import attrs
import msgspec

from server.codec import Codec
from server.errors import CorollaError, NoSoundVersionError, RefusedError
from server.manifest import GoldenRow, Manifest
from server.repository import list_versions, read_package
from server.session import Session

logger = logging.getLogger(__name__)


@attrs.frozen(eq=False)
class Model:
    """A version that is ready to answer.

    Attributes:
        manifest: Its facts.
        session: Its compiled model, warm.
        codec: Its wire format.
    """

    manifest: Manifest
    session: Session
    codec: Codec


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


@attrs.frozen(eq=False)
class Catalog:
    """All that is loaded, and what was refused on the way.

    Attributes:
        models: The loaded version of each model, by the model's name.
        refusals: Every version that was tried and refused.
    """

    models: Mapping[str, Model]
    refusals: tuple[Refusal, ...]


def load_catalog(models_dir: Path) -> Catalog:
    """Loads the newest sound version of every model.

    Raises:
        NoSoundVersionError: If nothing can be served.
    """
    models: dict[str, Model] = {}
    refusals: list[Refusal] = []
    for name, numbers in list_versions(models_dir).items():
        model = _load_newest(models_dir, name, numbers, refusals)
        if model is not None:
            models[name] = model
    if not models:
        raise NoSoundVersionError(
            f"nothing to serve in {models_dir}: expected models/<name>/<version>/ folders as `just train-export` "
            f"publishes them, found {len(refusals)} versions, none of them sound"
        )
    return Catalog(models=models, refusals=tuple(refusals))


def load_model(models_dir: Path, name: str, number: int) -> Model:
    """Loads one version and replays its golden rows, alone and together, which also warms the session.

    Raises:
        RefusedError: If the version is not sound on this host.
    """
    package = read_package(models_dir, name, number)
    manifest = package.manifest
    model = Model(
        manifest=manifest,
        session=Session(package.model, manifest.signature),
        codec=Codec(manifest.signature, manifest.model_name),
    )
    _replay(model)
    return model


def _load_newest(models_dir: Path, name: str, numbers: list[int], refusals: list[Refusal]) -> Model | None:
    for number in numbers:
        try:
            model = load_model(models_dir, name, number)
        except RefusedError as error:
            logger.error("version refused", extra={"facts": {"model": name, "version": number, "reason": str(error)}})  # noqa: TRY400  the reason is the message, a traceback tells no more
            refusals.append(Refusal(name, number, str(error)))
            continue
        facts = {"model": name, "version": number, "model_name": model.manifest.model_name}
        logger.info("version loaded", extra={"facts": facts})
        return model
    return None


def _replay(model: Model) -> None:
    """Answers the golden rows from their bytes, as a request would be, and holds them against the estimator's."""
    golden = model.manifest.golden
    try:
        rows = [model.codec.decode_row(msgspec.json.encode(row.row)) for row in golden]
        alone = [answer for row in rows for answer in model.session.run([row])]
        together = model.session.run(rows)
    except CorollaError as error:
        raise RefusedError(f"its golden rows cannot be replayed: {error}") from error
    for index, expected in enumerate(golden):
        for answer in (alone[index], together[index]):
            if not _agrees(answer.label, answer.probabilities, expected, model.manifest.parity.tolerance):
                raise RefusedError(f"golden row {index}: expected {expected}, got {answer}")


def _agrees(label: object, probabilities: tuple[float, ...], expected: GoldenRow, tolerance: float) -> bool:
    pairs = zip(probabilities, expected.probabilities, strict=True)
    # Each by itself: a NaN is within no tolerance, but would hide in a maximum.
    return label == expected.output and all(abs(a - b) <= tolerance for a, b in pairs)
