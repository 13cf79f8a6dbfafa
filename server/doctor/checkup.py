"""Versions on disk -> golden rows replayed and cost measured on this host; each is loaded as the server loads it."""

import functools
from pathlib import Path

from server.api.service import open_service
from server.codec.json_rows import Codec
from server.contract.manifest import Manifest
from server.doctor.report import Refused, Replay, Served
from server.errors import CorollaError
from server.host.cgroup import read_resident_bytes
from server.host.sizing import Sizes
from server.models.catalog import Model, Refusal, load_model, load_newest
from server.models.replay import replay
from server.models.repository import MODEL_FILE, list_versions, read_package
from server.models.session import Session
from server.models.trust import TrustedKeys
from server.settings import Settings


class LoadedModels:
    """The newest sound version of every model, loaded into this process.

    Attributes:
        models: Each loaded model, and by how many bytes the process's RSS grew for it.
        refused: The versions that were refused.
        fault: Why the model repository cannot be read; empty if it can.
    """

    def __init__(self, models_dir: Path, threads: int, trusted: TrustedKeys | None = None) -> None:
        """Load the models.

        Args:
            models_dir: The model repository; a missing one has no models.
            threads: How many threads a session may use.
            trusted: The keys of which one must have signed a version; None takes unsigned versions.
        """
        load = functools.partial(load_model, threads=threads, trusted=trusted)
        self.models: list[tuple[Model, int]] = []
        refusals: list[Refusal] = []
        try:
            versions, self.fault = list_versions(models_dir), ""
        except OSError as error:
            versions, self.fault = {}, f"{models_dir} cannot be read: {error}"
        for name, numbers in versions.items():
            before_bytes = read_resident_bytes()
            if model := load_newest(models_dir, name, numbers, load, refusals):
                self.models.append((model, read_resident_bytes() - before_bytes))
        self.refused = tuple(_refuse(models_dir, refusal, threads) for refusal in refusals)

    def examine(self, models_dir: Path, settings: Settings, sizes: Sizes) -> tuple[Served, ...]:
        """Measure each model and choose its limits as the server would.

        Args:
            models_dir: The model repository.
            settings: The server's settings.
            sizes: The sizes of a server's process.
        """
        return tuple(_examine(models_dir, settings, sizes, *loaded) for loaded in self.models)


def examine_golden_rows(manifest: Manifest, codec: Codec, session: Session) -> Replay:
    """Replay a version's golden rows, alone and together, and count what differs from the estimator's answers.

    Raises:
        CorollaError: If they cannot be answered at all.
    """
    found = replay(manifest, codec, session)
    return Replay(
        rows=found.rows,
        flips_alone=found.alone.flips,
        flips_together=found.together.flips,
        max_difference=max(found.alone.max_difference, found.together.max_difference),
        tolerance=manifest.parity.tolerance,
    )


def _refuse(models_dir: Path, refusal: Refusal, threads: int) -> Refused:
    name, number = refusal.name, refusal.version
    replayed = None
    try:
        package = read_package(models_dir / name / str(number), name, number)
        manifest = package.manifest
        codec = Codec(manifest.signature, manifest.model_name)
        replayed = examine_golden_rows(manifest, codec, Session(package.model, manifest.signature, threads))
    except CorollaError:
        pass  # the version is refused for a fault that comes before its golden rows
    return Refused(name, number, refusal.reason, replayed)


def _examine(models_dir: Path, settings: Settings, sizes: Sizes, model: Model, loaded_bytes: int) -> Served:
    manifest = model.manifest
    service = open_service(model, settings, sizes.queue_rows(manifest.signature))
    limits, cost = service.coalescer.limits, service.metrics.cost
    return Served(
        name=manifest.name,
        version=manifest.version,
        model_name=manifest.model_name,
        file_bytes=(models_dir / manifest.name / str(manifest.version) / MODEL_FILE).stat().st_size,
        loaded_bytes=loaded_bytes,
        replay=examine_golden_rows(manifest, model.codec, model.session),
        batch_us=cost.batch_s * 1e6,
        row_us=cost.row_s * 1e6,
        full_batch_row_us=cost.of(limits.max_batch_rows) / limits.max_batch_rows * 1e6,
        max_batch_rows=limits.max_batch_rows,
        max_queue_rows=limits.max_queue_rows,
        on_worker=limits.on_worker,
        why=service.metrics.coalescing[1],
    )
