"""The repository's address, which whoever publishes the project writes once: `Repository` under [project.urls].

With it the page on installing has a command for git, and every page's foot a link; without it neither. The theme's own
`repo_url` is not used: it would ask the host for stars when a page is opened.
"""

import re
import tomllib

BLOCK = re.compile(r"<!-- repository -->.*?<!-- /repository -->", re.DOTALL)
COMMAND = "```text\npip install \"kds-ref[real] @ git+{address}\"\n```"


def address(pyproject: str) -> str | None:
    """The address in the text of a pyproject.toml, or None."""
    found: str | None = tomllib.loads(pyproject)["project"].get("urls", {}).get("Repository")
    return found


def with_command(markdown: str, url: str | None) -> str:
    """The page on installing, with the command where the address is known."""
    return markdown if url is None else BLOCK.sub(COMMAND.format(address=url), markdown)
