"""Entry point of `python -m convert.report`."""

import sys

from convert.report.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
