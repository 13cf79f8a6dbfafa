"""Time from start to ready, beside that of the imports that a server cannot do without, and memory under load."""

import statistics
import subprocess
import sys
import time

from tests.bench import load
from tests.bench.models import ROOT, Published
from tests.bench.targets import COROLLA, pinned, start

IMPORTS = "import litestar, onnxruntime, uvicorn, numpy"
LOAD_S = 5


def measure(model: Published, rounds: int, core: int, load_core: int) -> list[str]:
    """Return the lines of a table."""
    imports_s, ready_s, pss_mb = [], [], []
    for _ in range(rounds):
        imports_s.append(_time_imports(core))
        start_s = time.perf_counter()
        with start(COROLLA, model, core) as target:
            ready_s.append(time.perf_counter() - start_s)
            load.measure(target, 128, LOAD_S, load_core)
            pss_mb.append(target.pss_bytes() / 1e6)
    ratio = statistics.median(ready / bare for ready, bare in zip(ready_s, imports_s, strict=True))
    return [
        f"ready to answer: {statistics.median(ready_s):.2f} s",
        f"`python -c '{IMPORTS}'`: {statistics.median(imports_s):.2f} s; ratio {ratio:.2f}",
        f"memory after {LOAD_S} s at 128 connections (PSS): {statistics.median(pss_mb):.0f} MB",
    ]


def _time_imports(core: int) -> float:
    start_s = time.perf_counter()
    subprocess.run(pinned([sys.executable, "-c", IMPORTS], core), check=True, cwd=ROOT)
    return time.perf_counter() - start_s
