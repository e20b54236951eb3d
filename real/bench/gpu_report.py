"""The measurements of `real.bench.gpu` as tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["report"]


def report(record: Mapping[str, Any]) -> str:
    """The whole report: what ran where, a table for each part that ran, and what was left out."""
    versions = ", ".join(f"{name} {version}" for name, version in record["versions"].items())
    lines = ["# GPU check", "", f"{record['device_name']}; {versions}; {record['seconds']:.0f} s.", ""]
    if record["tiny"]:
        lines += ["**A dry run at tiny sizes: no number here says anything about speed.**", ""]
    for name, rows in record["parts"].items():
        lines += [f"## {TITLES[name]}", "", *_TABLES[name](rows), ""] if rows else []
    lines += ["## Left out", ""]
    lines += [f"- {name}: {why}" for name, why in record["left_out"].items()] or ["Nothing."]
    return "\n".join(lines) + "\n"


TITLES = {
    "overhead": "KDS against independent samples",
    "steering": "One call of steer",
    "agreement": "Agreement with the CPU's float32",
    "backbones": "DiffBIR and SeeSR",
    "tests": "Tests marked gpu",
    "bundled": "The bundled model",
    "compiled": "torch.compile(steer)",
}


def _table(columns: str, rows: list[list[str]]) -> list[str]:
    names = columns.split(" | ")
    return [f"| {columns} |", "|---" * len(names) + "|", *(f"| {' | '.join(row)} |" for row in rows)]


def _shape(shape: list[int]) -> str:
    return f"N = {shape[0]}, " + "x".join(map(str, (*shape[2:], shape[1])))


def _overhead(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            f"N = {row['particles']}, {row['steps']} steps",
            str(row["max_batch"] or "all"),
            f"{min(row['plain_seconds']):.3f} s",
            f"{min(row['kds_seconds']):.3f} s",
            f"{row['more_percent']:+.2f} %",
        ]
        for row in rows
    ]
    return _table("SD 2 UNet, float16 | rows at once | plain, least | KDS, least | difference of medians", cells)


def _steering(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            _shape(row["shape"]),
            row["dtype"],
            f"{1e3 * row['seconds']:.3f} ms",
            f"{1e3 * row['copy_seconds']:.4f} ms",
            f"{row['copies']:.0f}",
            "" if row["peak_bytes"] is None else f"{row['peak_bytes'] / 2**20:.0f} MiB",
        ]
        for row in rows
    ]
    return _table("latents | dtype | steer | read and write once | ratio | peak memory beyond the latents", cells)


def _agreement(rows: list[dict[str, Any]]) -> list[str]:
    cells = [[row["what"], row["dtype"], f"{row['difference']:.1e}"] for row in rows]
    return _table("what | dtype | largest difference, part of the largest value", cells)


def _backbones(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            row["model"],
            str(row["particles"]),
            row["kind"],
            f"{row['total_seconds']:.2f} s",
            "" if row["peak_gb"] is None else f"{row['peak_gb']:.2f} GB",
        ]
        for row in rows
    ]
    return _table("model | N | kind | seconds | peak memory", cells)


def _tests(rows: list[dict[str, Any]]) -> list[str]:
    return [f"Exit status {row['exit']}: {row['summary']}" for row in rows]


def _bundled(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            f"{row['photo'][1]} x {row['photo'][0]}",
            row["dtype"],
            f"N = {row['particles']}, {row['steps']} steps",
            f"{row['seconds']:.2f} s",
        ]
        for row in rows
    ]
    return _table("photo | denoiser | settings | seconds", cells)


def _compiled(rows: list[dict[str, Any]]) -> list[str]:
    cells = [
        [
            _shape(row["shape"]),
            f"{1e3 * row['eager_seconds']:.3f} ms",
            f"{1e3 * row['seconds']:.3f} ms",
            f"{row['first_seconds']:.1f} s",
        ]
        for row in rows
    ]
    return _table("latents, float16 | steer | compiled | first call", cells)


_TABLES: dict[str, Callable[[list[dict[str, Any]]], list[str]]] = {
    "overhead": _overhead,
    "steering": _steering,
    "agreement": _agreement,
    "backbones": _backbones,
    "tests": _tests,
    "bundled": _bundled,
    "compiled": _compiled,
}
