"""The documentation's tables of schedulers, from the code.

`python -m real.plugin.table docs/reference/schedulers.md` brings the page up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from real.plugin.schedulers import REFUSED, SUPPORTED

__all__ = ["main", "refused_table", "supported_table"]

_MARKS = ("<!-- generated: {} -->\n", "<!-- end of {} -->\n")


def supported_table() -> str:
    """Markdown: one row for each class of scheduler that can be steered."""
    head = "| Scheduler | Family | c_skip, c_out | Clips x0 if asked | Half precision | `timestep` scale |\n"
    rows = [
        f"| `{name}` | {f.name} | {f.formula} | {'yes' if f.bounded else 'no'} | "
        f"{'float32 inside' if f.upcasts else 'as it comes'} | {f.scale} |\n"
        for name, f in SUPPORTED.items()
    ]
    return head + "|---|---|---|---|---|---|\n" + "".join(rows)


def refused_table() -> str:
    """Markdown: one row for each class of scheduler that is refused."""
    return "| Scheduler | Why not |\n|---|---|\n" + "".join(f"| `{n}` | {why} |\n" for n, why in REFUSED.items())


def updated(page: str) -> str:
    """The page with its generated blocks as the code has them now."""
    for name, table in (("supported", supported_table()), ("refused", refused_table())):
        first, last = (mark.format(name) for mark in _MARKS)
        before, _, rest = page.partition(first)
        _, found, after = rest.partition(last)
        if not found:
            raise ValueError(f"the page has no block {first.strip()} ... {last.strip()}")
        page = f"{before}{first}\n{table}\n{last}{after}"
    return page


def main(argv: Sequence[str] | None = None) -> int:
    """Bring the page that is named up to date; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if len(arguments) != 1:
        print("usage: python -m real.plugin.table docs/reference/schedulers.md", file=sys.stderr)
        return 2
    path = Path(arguments[0])
    path.write_text(updated(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
