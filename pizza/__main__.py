"""`python -m pizza` is `restaurant-system`."""

import sys

from pizza.cli import main

if __name__ == "__main__":
    sys.exit(main())
