"""Runs a module or package of scripts/, or pizza itself, as a program.

python scripts/bootstrap/run_module.py MODULE [ARGUMENT...]
"""

import runpy
import sys
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    sys.path[:1] = [str(SCRIPTS), str(SCRIPTS.parent)]
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
