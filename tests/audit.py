"""Lock files -> the known vulnerabilities of what they lock, by pip-audit; skipped aloud where no database answers.

The database is OSV's. A package of another index than the public one would be unknown to that index's own, and pass.
"""

import argparse
import json
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

OSV = "https://api.osv.dev/v1/query"
ANSWER_S = 15


def main(arguments: Sequence[str]) -> int:
    """Gives 0 where nothing is known, or nothing could be asked; what pip-audit gives otherwise."""
    parser = argparse.ArgumentParser(prog="python tests/audit.py", description="Audit lock files with pip-audit.")
    parser.add_argument("locks", metavar="LOCK", nargs="+", help="a requirements file with hashes")
    parser.add_argument("--osv-url", default=OSV, help=f"the database's address (default: {OSV})")
    options = parser.parse_args(arguments)
    if fault := _fault_of(options.osv_url):
        print(
            f"*** AUDIT SKIPPED: {options.osv_url} does not answer: {fault}. NOTHING WAS CHECKED. ***", file=sys.stderr
        )
        return 0
    flags = [
        "--vulnerability-service=osv",
        f"--osv-url={options.osv_url}",
        "--disable-pip",
        "--require-hashes",
        "--strict",
    ]
    locks = [f"--requirement={lock}" for lock in options.locks]
    command = [str(Path(sys.executable).with_name("pip-audit")), "--progress-spinner=off", *flags, *locks]
    return subprocess.run(command, check=False).returncode


def _fault_of(url: str) -> str:
    """Asks the database for one package, and gives what is wrong with its answer."""
    query = json.dumps({"package": {"name": "pip", "ecosystem": "PyPI"}, "version": "1.0"}).encode()
    try:
        with urllib.request.urlopen(url, query, ANSWER_S) as answer:  # noqa: S310  the address is the caller's own
            json.load(answer)
    except (OSError, ValueError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
