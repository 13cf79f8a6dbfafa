"""What is in a bundle -> its bill of materials, CycloneDX 1.6 in JSON; the only importer of cyclonedx."""

from collections.abc import Iterable

from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6

from server.manifest import Manifest
from server.repository import MODEL_FILE


def describe_versions(manifests: Iterable[Manifest]) -> bytes:
    """Describes versions: each a model, with its hash, its dataset's, and what it was made with."""
    models = [
        Component(
            type=ComponentType.MACHINE_LEARNING_MODEL,
            name=manifest.name,
            version=str(manifest.version),
            bom_ref=f"{manifest.name}/{manifest.version}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=manifest.files[MODEL_FILE])],
            properties=[
                Property(name="corolla:dataset-sha256", value=manifest.run.dataset_sha256),
                *(Property(name=f"corolla:tool:{tool}", value=version) for tool, version in manifest.tools.items()),
            ],
        )
        for manifest in manifests
    ]
    return to_json(Component(type=ComponentType.DATA, name="corolla-models"), models)


def to_json(subject: Component, components: Iterable[Component]) -> bytes:
    """Writes the bill of a subject, which all of its components are parts of."""
    bom = Bom(metadata=BomMetaData(component=subject), components=components)
    bom.register_dependency(subject, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2).encode() + b"\n"
