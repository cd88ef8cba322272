"""`python -m tickdeck`, where no console script is on PATH."""

import sys

from tickdeck.cli import main

if __name__ == "__main__":
    sys.exit(main())
