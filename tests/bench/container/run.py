"""`just image-bench`: measures a sealed container of an image, prints a table, and asserts nothing.

It needs a quiet machine: nothing is pinned to a core, since the container's CPU quota is measured.
"""

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))

from tests.bench.container.measures import MEASURES, Bench
from tests.bench.models import publish


def main(arguments: Sequence[str]) -> int:
    """Run the parts that are asked for."""
    parser = argparse.ArgumentParser(description="Measure a sealed container of an image.")
    parser.add_argument("--image", required=True, help="the image to measure")
    parser.add_argument("--base", required=True, help="the image that it was built on")
    parser.add_argument("--times", type=int, default=5, help="how often it is started (default: 5)")
    parser.add_argument("--idle", type=int, default=30, help="for how many seconds it is idle (default: 30)")
    parser.add_argument("--load", type=int, default=60, help="for how many seconds it is loaded (default: 60)")
    parser.add_argument("--bodies", type=int, default=20, help="for how many seconds bodies are sent (default: 20)")
    parser.add_argument("--parts", nargs="+", choices=MEASURES, default=list(MEASURES), help="default: all")
    options = parser.parse_args(arguments)
    if shutil.which("wrk") is None and "load" in options.parts:
        parser.error("the part load needs wrk, which is not installed")
    bench = Bench(options.image, options.base, publish("log_reg").models_dir)
    efforts = {"start": [options.times], "idle": [options.idle], "load": [options.load], "bodies": [options.bodies]}
    for part in options.parts:
        for number, line in enumerate(MEASURES[part](bench, *efforts.get(part, []))):
            print(f"{part if number == 0 else '':<10}{line}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
