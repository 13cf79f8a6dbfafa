"""What is in the image: the server, what it loads, and little else."""

from tests.support.container_process import packages_of, podman, run_as_root
from tests.support.locks import SERVER_LOCK, read_lock

MAX_BYTES = 105 * 10**6
NOT_FOR_A_SERVER = {"pip", "faker", "rich", "pygments", "scikit-learn", "pandas", "skl2onnx", "onnx", "httpx"}


def size_bytes(image: str) -> int:
    return int(podman("image", "inspect", "--format", "{{.Size}}", image))


def test_it_adds_no_more_to_its_base_than_it_may(image: str, base: str) -> None:
    assert size_bytes(image) - size_bytes(base) <= MAX_BYTES


def test_it_has_no_package_that_a_server_does_not_load(image: str) -> None:
    packages = packages_of(image).keys()
    assert {"litestar", "onnxruntime", "uvicorn"} <= packages
    assert packages & NOT_FOR_A_SERVER == set()


def test_its_packages_are_the_locked_ones(image: str) -> None:
    """The build had newer releases of all of them at hand (tests/container/build)."""
    locked = read_lock(SERVER_LOCK)
    assert {name: version for name, version in packages_of(image).items() if version not in locked[name].versions} == {}


def test_it_has_no_way_to_install_or_compile(image: str) -> None:
    found = run_as_root(image, "bash", "-c", "compgen -c | grep -xE 'pip[0-9.]*|gcc|cc|strip|ld' || true")
    assert found == ""
    installers = "find / -xdev -path '*/python3*' \\( -name pip -o -name ensurepip \\)"
    assert run_as_root(image, "bash", "-c", installers) == ""


def test_it_has_no_code_but_the_servers(image: str) -> None:
    assert run_as_root(image, "ls", "/opt/corolla/app") == "server"


def test_all_that_is_loaded_at_start_is_compiled(image: str) -> None:
    script = (
        "import sys, pathlib, server.process, server.app, server.api.lane, uvicorn.loops.uvloop, uvicorn.lifespan.on\n"
        "files = {m.__file__: m.__cached__ for m in list(sys.modules.values()) if getattr(m, '__cached__', None)}\n"
        "print(*(name for name, cached in files.items() if not pathlib.Path(cached).exists()))"
    )
    assert run_as_root(image, "/opt/corolla/bin/python3", "-c", script) == ""


def test_it_says_what_it_is_and_how_it_is_run(image: str) -> None:
    told = podman(
        "image", "inspect", "--format", "{{.User}} {{json .Config.ExposedPorts}} {{.Config.StopSignal}}", image
    )
    assert told == '10001:10001 {"8000/tcp":{}} SIGTERM'
