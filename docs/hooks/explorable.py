"""Computes the data of the explorable page when the site is built, so that no committed copy can be out of date."""

import sys
from functools import cache
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

sys.path.insert(0, str(Path(__file__).parent))  # mkdocs loads a hook as a file, without its folder
from packing import explorable_file

DATA = "assets/explorable-data.js"


@cache
def content() -> str:
    """Compute once in a process: a server that rebuilds at every change of a page need not wait again."""
    return explorable_file()


def on_files(files: Files, *, config: Any) -> Files:
    """Add the file to the site."""
    files.append(File.generated(config, DATA, content=content()))
    return files
