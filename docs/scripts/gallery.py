"""Runs the tutorials and writes a Markdown page of each: what it says, its code, what that prints, and its figures.

    python docs/scripts/gallery.py

writes docs/generated/tutorials, which git ignores; the hook docs/hooks/build.py does the same before a build. A
tutorial is a Python script. Its docstring opens the page. A line `# %%` begins a cell: the comment after it is
Markdown, the rest is code. The pages are plain Markdown, for whatever theme.
"""

from __future__ import annotations

import ast
import contextlib
import io
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parents[1]
SCRIPTS, PAGES = DOCS / "tutorials", DOCS / "generated" / "tutorials"
PIXELS_PER_INCH = 100  # as shown; the pictures have twice as many
OPENING = re.compile(r"!\[([^\]]*)\]\(((?:images|\.\./\.\./assets)/[^)]+)\)(\{[^}]*\})?")


@dataclass(frozen=True)
class Cell:
    """Markdown, and the code after it with the number of lines before that code."""

    text: str
    code: str
    lines_before: int


def cells(source: str) -> list[Cell]:
    """Split a script; the first cell is the docstring and the code up to the first `# %%`."""
    docstring = ast.parse(source).body[0]
    lines = source.splitlines()
    marks = [number for number, line in enumerate(lines) if line == "# %%"]
    first = _code(lines, docstring.end_lineno or 0, [*marks, len(lines)][0])
    found = [Cell(ast.literal_eval(docstring.value).strip(), *first)]  # type: ignore[attr-defined]

    for start, end in zip(marks, [*marks[1:], len(lines)], strict=True):
        after = start + 1
        while after < end and lines[after].startswith("#"):
            after += 1
        text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in lines[start + 1 : after])
        found.append(Cell(text.strip(), *_code(lines, after, end)))
    return found


def _code(lines: list[str], start: int, end: int) -> tuple[str, int]:
    while start < end and not lines[start].strip():
        start += 1
    return "\n".join(lines[start:end]).rstrip(), start


def page(path: Path, images: Path, *, run: bool) -> str:
    """Run a script cell by cell and return its page; its figures go to the folder `images`."""
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    parts, drawn = [], 0
    for cell in cells(path.read_text(encoding="utf-8")):
        parts.append(cell.text if run else OPENING.sub("", cell.text))
        if not cell.code:
            continue
        parts.append(f"```python\n{cell.code}\n```")
        if run:
            printed = _execute(cell, path, namespace)
            figures = _save_figures(images, path.stem, drawn)
            drawn += len(figures)
            parts += [f"``` {{ .text .output }}\n{printed.rstrip()}\n```"] * bool(printed.strip()) + figures
    parts.append(f"[This page as a script]({path.name}){{ .md-button download={path.name} }}")
    return "\n\n".join(part for part in parts if part) + "\n"


def _execute(cell: Cell, path: Path, namespace: dict[str, Any]) -> str:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile("\n" * cell.lines_before + cell.code, str(path), "exec"), namespace)
    return printed.getvalue()


def _save_figures(images: Path, name: str, drawn: int) -> list[str]:
    """Write the open figures and close them; Markdown of each, whose titles say what it shows."""
    import matplotlib.pyplot as plt

    found = []
    for number, figure in enumerate(map(plt.figure, plt.get_fignums()), start=drawn + 1):
        titles = [figure.get_suptitle(), *(ax.get_title() for ax in figure.axes)]
        file = images / f"{name}_{number}.webp"
        figure.savefig(file, dpi=2 * PIXELS_PER_INCH, pil_kwargs={"quality": 88, "method": 4})
        width = round(figure.get_figwidth() * PIXELS_PER_INCH)
        words = "; ".join(" ".join(title.split()) for title in titles if title).replace("[", "(").replace("]", ")")
        found.append(f"![{words}](images/{file.name}){{ .figure width={width} loading=lazy }}")
        plt.close(figure)
    return found


def card(path: Path, *, run: bool) -> str:
    """A link to a page with its opening picture, its title, and what it says first."""
    text = cells(path.read_text(encoding="utf-8"))[0].text
    title, rest = text.removeprefix("# ").split("\n", 1)
    says = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", rest.strip().split("\n\n")[0])
    opening = OPENING.search(text)
    lines = [f"**[{title}]({path.stem}.md)**", says]
    if opening and run:
        words = " ".join(opening.group(1).split())
        image = f"![{words}]({opening.group(2)}){{ loading=lazy }}"
        lines.insert(0, f"[{image}]({path.stem}.md){{ tabindex=-1 aria-hidden=true }}")
    return '<div class="card" markdown>\n\n' + "\n\n".join(lines) + "\n\n</div>"


def write(*, run: bool) -> None:
    """Write all pages, their pictures and scripts, and the page that lists them."""
    import matplotlib as mpl

    mpl.use("agg")
    shutil.rmtree(PAGES, ignore_errors=True)
    images = PAGES / "images"
    images.mkdir(parents=True)
    paths = sorted(SCRIPTS.glob("[0-9]*_*.py"))
    for path in paths:
        (PAGES / f"{path.stem}.md").write_text(page(path, images, run=run), encoding="utf-8")
        shutil.copy(path, PAGES / path.name)
    cards = "\n\n".join(card(path, run=run) for path in paths)
    text = (SCRIPTS / "README.md").read_text(encoding="utf-8")
    (PAGES / "index.md").write_text(f'{text}\n<div class="cards" markdown>\n\n{cards}\n\n</div>\n', encoding="utf-8")


if __name__ == "__main__":
    write(run=True)
