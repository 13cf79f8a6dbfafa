"""Makes `python -m convert` a command."""

import sys

from convert.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
