"""Entry point of `python -m convert.bundle`."""

import sys

from convert.bundle.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
