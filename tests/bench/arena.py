"""onnxruntime's memory arena and memory pattern, on and off -> the time of a run, and the memory that is kept."""

import json
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.bench.models import ROOT, Published
from tests.bench.targets import pinned

SIZES = (1, 32, 1024)
RUNS = 200
VARIANTS = ("off", "on")


def measure(models: Sequence[Published], rounds: int, core: int) -> list[str]:
    """Return the lines of a table; each variant is a process of its own, and they take turns."""
    lines = [
        f"{'model':<10}{'arena':<8}" + "".join(f"{f'{rows} rows, us':>15}" for rows in SIZES) + f"{'kept, MB':>11}"
    ]
    for model in models:
        measured: dict[str, list[list[float]]] = {variant: [] for variant in VARIANTS}
        for _ in range(rounds):
            for variant in VARIANTS:
                command = [sys.executable, __file__, str(model.models_dir / "iris" / "1" / "model.onnx"), variant]
                ended = subprocess.run(pinned(command, core), check=True, capture_output=True, text=True, cwd=ROOT)
                measured[variant].append(json.loads(ended.stdout))
        for variant, figures in measured.items():
            *times, kept = (statistics.median(column) for column in zip(*figures, strict=True))
            lines.append(f"{model.name:<10}{variant:<8}" + "".join(f"{us:>15.1f}" for us in times) + f"{kept:>11.1f}")
    return lines


def main(model: str, variant: str) -> None:
    """Measure one variant in this process, and print the times in microseconds and the memory in MB as JSON."""
    import time  # noqa: PLC0415

    import numpy as np  # noqa: PLC0415
    import onnxruntime  # noqa: PLC0415
    import psutil  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = options.enable_mem_pattern = variant == "on"
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    before = psutil.Process().memory_full_info().uss
    (features,) = session.get_inputs()
    times_us = []
    for rows in SIZES:
        batch = np.full((rows, features.shape[1]), 2.5, dtype=np.float32)
        took_s = []
        for _ in range(RUNS):
            start_s = time.perf_counter()
            session.run(None, {features.name: batch})
            took_s.append(time.perf_counter() - start_s)
        times_us.append(statistics.median(took_s) * 1e6)
    print(json.dumps([*times_us, (psutil.Process().memory_full_info().uss - before) / 1e6]))


if __name__ == "__main__":
    main(*sys.argv[1:])
