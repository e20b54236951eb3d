"""What MkDocs calls: all that the site needs besides Markdown is made by the plain scripts in docs/scripts.

Another generator of sites needs three things instead of this file: the scripts run before it, `with_links` and
`with_command` applied to the text of each page, and a link to the repository at the foot.
"""

import os
import sys
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scripts"))
import explorable
import gallery
import repository
import sources


@cache
def scripts() -> None:
    """Run once in a process: a server that builds again at every change of a page would wait, and see its own pages.

    KDS_TUTORIALS=false is for writing: no tutorial runs, and there are no figures.
    """
    gallery.write(run=os.environ.get("KDS_TUTORIALS", "true").lower() != "false")
    explorable.write()
    sources.write()  # last: a tutorial may link to a source file


def on_pre_build(config: Any) -> None:
    """Write docs/generated before MkDocs looks for pages."""
    scripts()


@cache
def _address() -> str | None:
    return repository.address((sources.ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def on_config(config: Any) -> Any:
    """Put a link to the repository at the foot of every page."""
    if (url := _address()) is not None:
        config.copyright = f'<a href="{url}">Source and issues</a>'
    return config


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Let links to source files lead to their pages, and fill in the address."""
    return repository.with_command(sources.with_links(markdown, page.file.src_uri), _address())
