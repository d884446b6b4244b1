"""`./restaurant-system` in a clone: the program, run in the clone's .venv."""

import sys

from pizza.cli import main

if __name__ == "__main__":
    sys.exit(main())
