"""The numbers that the paper prints in its tables, to stand beside measured ones.

`paper_tables.csv` holds every result table of Hu et al. 2025, "Kernel Density Steering: Inference-Time Scaling via Mode
Seeking for Image Restoration": of the text arXiv 2507.05604v1 ("v1" in its column `text`) and of the NeurIPS 2025
camera-ready ("CR"), transcribed, not measured here. One number per line.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["COLUMNS", "SOURCE", "PaperRow", "find_row", "paper_rows", "read_tables"]

SOURCE = Path(__file__).parent / "paper_tables.csv"
COLUMNS = ("table", "text", "backbone", "dataset", "sampler", "method", "n_particles", "metric", "value", "note")
KEY = COLUMNS[:7]


@dataclass(frozen=True)
class PaperRow:
    """One line of one of the paper's tables.

    Attributes:
        columns: table, text, backbone, dataset, sampler, method and n_particles, as strings.
        values: Numbers by metric, as the paper prints them: psnr in dB, fid and lpips less is better, seconds,
            memory_gb.
    """

    columns: Mapping[str, str]
    values: Mapping[str, float] = field(default_factory=dict)


def read_tables(text: str) -> tuple[PaperRow, ...]:
    """Parse the CSV's text into rows, numbers of one table line together, in the order of the file.

    Raises:
        ValueError: Other columns, a value that is not a finite number, or a metric twice in one line; the message
            names the line of the file.
    """
    reader = csv.DictReader(text.splitlines())
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise ValueError(f"text must have the columns {', '.join(COLUMNS)}, got {reader.fieldnames}")

    rows: dict[tuple[str, ...], dict[str, float]] = {}
    for number, record in enumerate(reader, start=2):
        if None in record or None in record.values():
            raise ValueError(f"text must have {len(COLUMNS)} columns in every line, got others in line {number}")

        # What is no number and what is not finite are one mistake of the table.
        try:
            value = float(record["value"])
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise ValueError(f"text must have finite values, got {record['value']!r} in line {number}")

        # One line of the paper's table is several lines of the file, one per metric.
        values = rows.setdefault(tuple(record[c] for c in KEY), {})
        if record["metric"] in values:
            raise ValueError(f"text must have each metric once, got {record['metric']!r} again in line {number}")
        values[record["metric"]] = value

    return tuple(PaperRow(dict(zip(KEY, key, strict=True)), values) for key, values in rows.items())


def paper_rows() -> tuple[PaperRow, ...]:
    """All rows of the tables that come with the package."""
    return read_tables(SOURCE.read_text(encoding="utf-8"))


def find_row(rows: Sequence[PaperRow], wanted: Mapping[str, str]) -> PaperRow:
    """The one row whose columns have the wanted values.

    Raises:
        LookupError: None or several have them.
    """
    found = [row for row in rows if all(row.columns.get(c) == v for c, v in wanted.items())]
    if len(found) != 1:
        raise LookupError(f"wanted must select one row of the paper, got {len(found)} with {dict(wanted)}")
    return found[0]
