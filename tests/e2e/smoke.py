"""The server in an environment that has its base dependencies alone: does it start and answer there?

Trains and publishes with this environment, serves with a new one made of server/requirements.lock.
"""

import importlib.metadata
import subprocess
import sys
import tempfile
import tomllib
import venv
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.server_process import serving  # noqa: E402
from tests.support.workshop import IRIS_CSV, IRIS_ROW  # noqa: E402  a script finds its own project first

EXPECTED = {"output": "Iris-virginica", "model_name": "log_reg_1"}


def main() -> int:
    """Gives 0 where the one row gets the one right answer."""
    with tempfile.TemporaryDirectory() as folder:
        data_dir, models_dir, base = (Path(folder) / name for name in ("data", "models", "base"))
        _run("training", "train", str(IRIS_CSV), "Species", "--drop", "Id", "--data-dir", str(data_dir))
        _run("convert", "1", "--data-dir", str(data_dir), "--models-dir", str(models_dir))
        venv.create(base, with_pip=True)
        python = base / "bin" / "python"
        lock = str(ROOT / "server" / "requirements.lock")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "-r", lock], check=True)
        _check_nothing_else(python)
        with serving(models_dir, python=str(python)) as server:
            answer = httpx.post(f"{server.url}/iris/predict", json=dict(IRIS_ROW)).json()
            docs = httpx.get(f"{server.url}/docs/assets/swagger-ui-bundle.js").status_code
            code = server.stop()
    print(f"answered {answer}, docs {docs}, exit code {code}")
    return 0 if (answer, docs, code) == (EXPECTED, 200, 0) else 1


def _run(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, check=True, stderr=subprocess.DEVNULL)


def _check_nothing_else(python: Path) -> None:
    """Makes sure that no training or development package came along, or the test would prove nothing."""
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=freeze"], check=True, capture_output=True, text=True
    )
    installed = {line.partition("==")[0].lower().replace("_", "-") for line in listed.stdout.splitlines()}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    foreign = {requirement.partition(">")[0] for name in ("training", "convert") for requirement in extras[name]}
    # Two come to the server too: uvicorn asks for click, and swagger-ui-bundle for jinja2, which nothing loads there.
    if found := installed & foreign - {"click", "jinja2"}:
        raise SystemExit(f"expected base dependencies alone, found {', '.join(sorted(found))}")
    print(f"{len(installed)} packages; onnxruntime here is {importlib.metadata.version('onnxruntime')}")


if __name__ == "__main__":
    sys.exit(main())
