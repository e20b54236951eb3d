"""Computes the data of the explorable page, so that no committed copy can be out of date.

    python docs/scripts/explorable.py

writes docs/generated/explorable, which git ignores; the hook docs/hooks/build.py does the same before a build.
"""

from pathlib import Path

from packing import explorable_file, more_file

FOLDER = Path(__file__).resolve().parents[1] / "generated" / "explorable"


def write() -> None:
    """Write the data that the page opens with, and what it fetches when a reader asks for it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "data.js").write_text(explorable_file(), encoding="ascii")
    (FOLDER / "more.js").write_text(more_file(), encoding="ascii")


if __name__ == "__main__":
    write()
