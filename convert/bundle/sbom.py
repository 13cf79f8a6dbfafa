"""Bill of materials (SBOM) of an image or of models, CycloneDX 1.6 in JSON; the only importer of cyclonedx."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from server.contract.manifest import Manifest
from server.models.repository import MODEL_FILE

_LOCKED = re.compile(r"^([a-z0-9-]+)==([^\s;]+).*\\\n((?:    --hash=.*\n?)+)", re.MULTILINE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def describe_versions(manifests: Iterable[Manifest]) -> bytes:
    """Return the SBOM of versions: each a model with its hash, its dataset's hash, and the tools that made it."""
    return _to_json(Component(type=ComponentType.DATA, name="corolla-models"), map(_model, manifests))


def describe_image(image: str, installed: Mapping[str, Any], lock: str) -> bytes:
    """Return the SBOM of an image.

    Args:
        image: The image's name.
        installed: Its content, as `convert.bundle.inside` lists it.
        lock: The text of the lock file that its packages were installed from, which has their hashes.
    """
    locked = {(name, version): _HASH.findall(hashes) for name, version, hashes in _LOCKED.findall(lock)}
    components = [
        _python(installed["python"]),
        *(_pypi_package(facts, locked) for facts in installed["pypi"]),
        *(_deb_package(facts, installed["distribution"]) for facts in installed["deb"]),
        *(_model(Manifest.from_json(text.encode())) for text in installed["manifests"]),
    ]
    return _to_json(Component(type=ComponentType.CONTAINER, name=image), components)


def _model(manifest: Manifest) -> Component:
    made_with = {f"corolla:tool:{tool}": version for tool, version in manifest.tools.items()}
    properties = {"corolla:dataset-sha256": manifest.run.dataset_sha256, **made_with}
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=manifest.name,
        version=str(manifest.version),
        bom_ref=f"models/{manifest.name}/{manifest.version}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=manifest.files[MODEL_FILE])],
        properties=[Property(name=name, value=value) for name, value in properties.items()],
    )


def _python(version: str) -> Component:
    return _package(ComponentType.PLATFORM, PackageURL("generic", name="python", version=version))


def _pypi_package(facts: Mapping[str, Any], locked: Mapping[tuple[str, str], Sequence[str]]) -> Component:
    name = re.sub(r"[-_.]+", "-", facts["name"]).lower()  # as indexes compare names
    package = _package(ComponentType.LIBRARY, PackageURL("pypi", name=name, version=facts["version"]))
    package.licenses.update(_licences(facts["licences"]))
    if hashes := locked.get((name, facts["version"])):
        package.external_references.add(
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(str(package.purl)),
                comment="installed from a file with one of these hashes, as locked",
                hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest) for digest in hashes],
            )
        )
    return package


def _deb_package(facts: Mapping[str, str], distribution: Mapping[str, str]) -> Component:
    qualifiers = {"arch": facts["architecture"], "distro": distribution["release"]}
    purl = PackageURL("deb", distribution["id"], facts["name"], facts["version"], qualifiers)
    return _package(ComponentType.LIBRARY, purl)


def _package(kind: ComponentType, purl: PackageURL) -> Component:
    return Component(type=kind, name=purl.name, version=purl.version, purl=purl, bom_ref=str(purl))


def _licences(texts: Sequence[str]) -> list[License]:
    """Return licences, by their SPDX names if they have one; an expression stands alone, as the schema requires."""
    factory = LicenseFactory()
    if len(texts) == 1:
        return [factory.make_from_string(texts[0])]
    return [factory.make_with_name(text) for text in texts]


def _to_json(subject: Component, components: Iterable[Component]) -> bytes:
    bom = Bom(metadata=BomMetaData(component=subject), components=components)
    bom.register_dependency(subject, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2).encode() + b"\n"
