"""The program behind scripts/chaos."""

import sys

from chaos_tools.cli import main

if __name__ == "__main__":
    sys.exit(main())
