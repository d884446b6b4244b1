"""Runs as `python scripts/storms`: puts scripts/ and the project on the path, then storms."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

if __name__ == "__main__":
    sys.path[0] = str(HERE.parent)
    sys.path.insert(1, str(HERE.parent.parent))
    from storms.cli import main

    sys.exit(main())
