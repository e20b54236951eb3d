"""Shows source files on the site: a link from a page to a Python file of a package leads to a page with that file.

Such a link is written as the file lies in the repository, where it works as it is, and may name a function or a class:
`[steer](../kds_ref/steering.py#steer)`. The site has no Python files, so each linked one becomes a page of its own, and
the link leads to the line of its `def` or `class`.
"""

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.utils import get_relative_url

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


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for every file that some page links to."""
    root = Path(config.config_file_path).parent
    wanted = {path for f in files.documentation_pages() for path in linked(f.content_string, f.src_uri)}
    for path in sorted(wanted):
        text = PAGE.format(path=path, fence=FENCE, text=(root / path).read_text(encoding="utf-8"))
        name = f"source/{path}.md"
        files.append(File.generated(config, name, content=text, inclusion=InclusionLevel.NOT_IN_NAV))
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Let the links of a page lead to the pages that `on_files` made."""
    root = Path(config.config_file_path).parent

    def link(match: re.Match[str]) -> str:
        text, target, name = match.groups()
        path = _in_repository(target, page.file.src_uri)
        file = files.get_file_from_path(f"source/{path}.md")
        lines = lines_of((root / path).read_text(encoding="utf-8"))
        if file is None or (name is not None and name not in lines):
            raise PluginError(f"{page.file.src_uri} links to {target}#{name}, which is not there")
        line = "" if name is None else f"#__codelineno-0-{lines[name]}"
        return f'<a href="{get_relative_url(file.url, page.url)}{line}">{text}</a>'

    return LINK.sub(link, markdown)


def _in_repository(target: str, page: str) -> str:
    """`../kds_ref/steering.py`, as docs/PAGE links to it, as kds_ref/steering.py."""
    return posixpath.normpath(posixpath.join("docs", posixpath.dirname(page), target))
