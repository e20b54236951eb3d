"""Computes the data of the explorable page when the site is built, so that no committed copy can be out of date."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs loads a hook as a file, without its folder
from packing import explorable_file, more_file

DATA = "assets/explorable-data.js"
MORE = "assets/explorable-more.js"  # fetched when a reader asks for it


@cache
def content() -> tuple[str, str]:
    """Compute once in a process: a server that rebuilds at every change of a page need not wait again."""
    return explorable_file(), more_file()


def on_files(files: Files, *, config: Any) -> Files:
    """Add the two files to the site."""
    for name, text in zip((DATA, MORE), content(), strict=True):
        files.append(File.generated(config, name, content=text))
    return files
