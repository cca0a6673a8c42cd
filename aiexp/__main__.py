"""`python -m aiexp` is `aiexp`."""

import sys

from aiexp.cli import main

if __name__ == "__main__":
    sys.exit(main())
