"""The repository's address, which whoever publishes the project writes once: `Repository` under [project.urls].

With it the page on installing has a command for git, and every page's foot a link; without it neither. The theme's own
`repo_url` is not used: it would ask the host for stars when a page is opened.
"""

import re
import tomllib
from pathlib import Path
from typing import Any

BLOCK = re.compile(r"<!-- repository -->.*?<!-- /repository -->", re.DOTALL)
COMMAND = "```text\npip install \"kds-ref[real] @ git+{address}\"\n```"


def address(pyproject: str) -> str | None:
    """The address in the text of a pyproject.toml, or None."""
    found: str | None = tomllib.loads(pyproject)["project"].get("urls", {}).get("Repository")
    return found


def with_command(markdown: str, url: str | None) -> str:
    """The page on installing, with the command where the address is known."""
    return markdown if url is None else BLOCK.sub(COMMAND.format(address=url), markdown)


def _here(config: Any) -> str | None:
    root = Path(config.config_file_path).parent
    return address((root / "pyproject.toml").read_text(encoding="utf-8"))


def on_config(config: Any) -> Any:
    """Put a link to the repository at the foot of every page."""
    if (url := _here(config)) is not None:
        config.copyright = f'<a href="{url}">Source and issues</a>'
    return config


def on_page_markdown(markdown: str, *, page: Any, config: Any, **_: Any) -> str:
    """Fill the block of the page on installing."""
    return with_command(markdown, _here(config)) if page.file.src_uri == "how-to/install.md" else markdown
