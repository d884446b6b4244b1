"""scripts/demo --clean: remove the data folder, with any Python and without an installation."""

import sys

from bootstrap.data_dir import FOLDER, DataFolderError, clean


def main() -> int:
    """Remove it, and print that."""
    try:
        removed = clean()
    except DataFolderError as error:
        print(f"pizza: {error}", file=sys.stderr)
        return 1
    print(f"Removed {FOLDER}." if removed else f"There is no {FOLDER}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
