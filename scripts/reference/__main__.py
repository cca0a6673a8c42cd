"""`python scripts/reference FOLDER`: every page of the site as Markdown."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from reference.assemble import assemble

if __name__ == "__main__":
    assemble(Path(__file__).parents[2], Path(sys.argv[1]))
