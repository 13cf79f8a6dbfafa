"""The unit that `just quadlet` writes, held against podman's own generator of systemd services."""

import subprocess
from pathlib import Path

import pytest

from tests.support.container_process import JUST, podman, sealed_flags
from tests.support.server_process import ROOT

GENERATE = """
cd /tmp && apt-get update -qq >/dev/null && apt-get download -qq podman 2>/dev/null && dpkg -x podman_*.deb podman
QUADLET_UNIT_DIRS=/units podman/usr/libexec/podman/quadlet -dryrun 2>&1
"""


def generate(base: str, folder: Path, *arguments: str) -> list[str]:
    """Writes the unit and gives the lines of the service that the generator makes of it."""
    subprocess.run(
        [JUST, "--justfile", ROOT / "justfile", "--working-directory", folder, "quadlet", *arguments], check=True
    )
    command = ("--volume", f"{folder}:/units:ro", base, "bash", "-euc", GENERATE)
    return podman("run", "--rm", "--pull=never", *command).splitlines()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), ["localhost/corolla:latest", "127.0.0.1:8000:8000", "io.containers.autoupdate=local"]),
        (
            ("registry.example/me/corolla:1", "0.0.0.0:80", "/srv/models"),
            ["registry.example/me/corolla:1", "0.0.0.0:80:8000", "autoupdate=registry", "-v /srv/models:/models:ro"],
        ),
    ],
    ids=["as it is", "with an image, an address and models"],
)
def test_the_unit_is_a_sealed_service_that_starts_at_boot_and_restarts(
    base: str, tmp_path: Path, arguments: tuple[str, ...], expected: list[str]
) -> None:
    service = generate(base, tmp_path, *arguments)
    (started,) = [line for line in service if line.startswith("ExecStart=/usr/bin/podman run")]
    for part in (*sealed_flags(), *expected, "--log-driver journald", "--health-on-failure kill"):
        assert part in started
    assert {"Restart=always", "WantedBy=multi-user.target default.target"} <= set(service)
