"""`python -m aiexp` is `aiexp`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the working directory, which `-m` puts before everything: see working_directory.py
    from aiexp.cli import main

    sys.exit(main())
