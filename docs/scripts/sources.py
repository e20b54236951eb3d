"""Shows source files on the site: a link from a page to a Python file of a package leads to a page with that file.

    python docs/scripts/sources.py

writes docs/generated/source, which git ignores; the hook docs/hooks/build.py does the same before a build. A link is
written as the file lies in the repository, where it works as it is, and may name a function or a class:
`[steer](../kds_ref/steering.py#steer)`. The site has no Python files, so each linked one becomes a page of its own, and
`with_links` lets the link lead to the line of its `def` or `class` there.
"""

import ast
import posixpath
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = DOCS / "generated" / "source"
LINK = re.compile(r"\[([^\]]+)\]\(((?:\.\./)+(?:kds_ref|toy|real|tests)/[\w/]+\.py)(?:#([\w.]+))?\)")
FENCE = "`" * 6  # longer than any in a docstring
PAGE = "---\nsearch:\n  exclude: true\n---\n\n# {path}\n\n{fence}{{ .python linenums=\"1\" }}\n{text}{fence}\n"


def linked(markdown: str, page: str) -> set[str]:
    """The files that a page links to, as paths in the repository; `page` is its own in the folder docs."""
    return {_in_repository(target, page) for _, target, _ in LINK.findall(markdown)}


def lines_of(source: str) -> dict[str, int]:
    r"""Line of each function and class of a module, by its qualified name.

    Example:
        >>> lines_of("class A:\n    def f(self):\n        pass\n")
        {'A': 1, 'A.f': 2}
    """
    found: dict[str, int] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                found[prefix + child.name] = child.lineno
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(source), "")
    return found


def write() -> None:
    """Write a page for every file that some page links to."""
    shutil.rmtree(PAGES, ignore_errors=True)
    pages = [(path, path.relative_to(DOCS).as_posix()) for path in sorted(DOCS.rglob("*.md"))]
    for path in sorted({file for page, name in pages for file in linked(page.read_text(encoding="utf-8"), name)}):
        place = PAGES / f"{path}.md"
        place.parent.mkdir(parents=True, exist_ok=True)
        text = (ROOT / path).read_text(encoding="utf-8")
        place.write_text(PAGE.format(path=path, fence=FENCE, text=text), encoding="utf-8")


def with_links(markdown: str, page: str) -> str:
    """A page's text with such links as the site needs them.

    Raises:
        ValueError: a link names a function or class that its file does not have.
    """

    def link(match: re.Match[str]) -> str:
        text, target, name = match.groups()
        path = _in_repository(target, page)
        lines = lines_of((ROOT / path).read_text(encoding="utf-8"))
        if name is not None and name not in lines:
            raise ValueError(f"links must name what is there, got {target}#{name} in docs/{page}; mend the link")
        line = "" if name is None else f"#__codelineno-0-{lines[name]}"
        # From the folder docs/PAGE/ of the site, or its own folder for an index.
        start = posixpath.dirname(page) if posixpath.basename(page) == "index.md" else page.removesuffix(".md")
        return f'<a href="{posixpath.relpath(f"generated/source/{path}", start or ".")}/{line}">{text}</a>'

    return LINK.sub(link, markdown)


def _in_repository(target: str, page: str) -> str:
    """`../kds_ref/steering.py`, as docs/PAGE links to it, as kds_ref/steering.py."""
    return posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))


if __name__ == "__main__":
    write()
