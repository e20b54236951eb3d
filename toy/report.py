"""The results as text: the small table that the command prints at the end."""

from __future__ import annotations

from typing import Any

Cells = tuple[str, ...]
WIDTHS = (24, 22, 22, 0)


def format_table(results: dict[str, Any]) -> str:
    """Return the numbers of the target and of every method, and the changes against DDIM, in plain ASCII.

    Args:
        results: the dict of `toy.experiment.run_experiment`.

    Returns:
        Lines of at most 120 characters, without a newline at the end.
    """
    target = results["target"]
    methods = list(results["methods"].values())
    steered = [numbers for numbers in methods if "difference_to_ddim" in numbers]

    rows: list[Cells] = [
        ("", "variance in a mode", "log-likelihood", "share of each mode, %"),
        (
            "target",
            f"{target['within_mode_variance']:.4f}",
            f"{target['mean_log_likelihood']:.3f}",
            " / ".join(f"{100 * share:.1f}" for share in target["mode_shares"]),
        ),
        *(_numbers(numbers) for numbers in methods),
        (),
        ("change against DDIM", "variance", "log-likelihood", "shares, points"),
        *(_changes(numbers) for numbers in steered),
        (),
        (f"In brackets: standard error over seeds (here {results['settings']['n_seeds']}).",),
        (f"p: {results['test']}.",),
    ]

    return "\n".join(
        "".join(text.ljust(width) for text, width in zip(row, WIDTHS, strict=False)).rstrip() for row in rows
    )


def _name(numbers: dict[str, Any]) -> str:
    return "DDIM" if numbers["cutoff"] is None else f"DDIM + KDS, t/T >= {numbers['cutoff']:g}"


def _numbers(numbers: dict[str, Any]) -> Cells:
    shares = " / ".join(f"{100 * share['mean']:.1f}" for share in numbers["mode_shares"])
    variance, likelihood = numbers["within_mode_variance"], numbers["mean_log_likelihood"]
    return _name(numbers), _number(variance, 4), _number(likelihood, 3), shares


def _changes(numbers: dict[str, Any]) -> Cells:
    difference = numbers["difference_to_ddim"]
    variance, likelihood = difference["within_mode_variance"], difference["mean_log_likelihood"]
    shares = difference["mode_shares"]
    relative = variance["relative_change"]
    return (
        _name(numbers),
        "undefined" if relative is None else f"{100 * relative:+.1f} % (p {_p(variance)})",
        f"{likelihood['mean']:+.3f} (p {_p(likelihood)})",
        " / ".join(f"{100 * share['mean']:+.2f}" for share in shares)
        + f" (p {' / '.join(_p(share) for share in shares)})",
    )


def _number(summary: dict[str, Any], digits: int) -> str:
    if summary["mean"] is None:
        return "undefined"
    error = summary["standard_error"]
    return f"{summary['mean']:.{digits}f}" + ("" if error is None else f" ({error:.{digits}f})")


def _p(summary: dict[str, Any]) -> str:
    return "undefined" if summary["p_value"] is None else f"{summary['p_value']:.1g}"
