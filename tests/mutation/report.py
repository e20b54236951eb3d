"""The verdicts of run.py as tests/mutation/results.json and docs/explanation/mutation.md.

    python tests/mutation/report.py

A module whose mutants have not all been judged keeps what results.json says of it. The reasons of the survivors stand
in reasons.toml; the command says which survivors have none, and fails then.
"""

from __future__ import annotations

import json
import re
import sys
import tomllib
from collections import Counter
from fnmatch import fnmatchcase
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests/mutation/results.json"
REASONS = ROOT / "tests/mutation/reasons.toml"
PAGE = ROOT / "docs/explanation/mutation.md"
COMMANDS = [
    "python tests/mutation/run.py --without torch diffusers sklearn transformers matplotlib --seconds 0.3 --slow 1",
    "python tests/mutation/run.py --again --unexplained --seconds 15 --slow 2",
]
NOTE = """The core was rearranged after the first run. Judged before that, and not since: {modules}. Functions may have
come to them or left them, so their numbers are those of the code before."""
HEAD = """# Mutation tests

A test that cannot fail proves nothing. [mutmut](https://mutmut.readthedocs.io) changes one thing in the core at a time:
a plus into a minus, `<` into `<=`, 0.5 into 1.5, a default, an argument left out, a result that becomes `None`, a word
of an error message. Each changed copy is a mutant, and it is killed if some test then fails. Those that survive are
either missing tests or changes that change nothing. All numbers here are those of `tests/mutation/results.json`,
written by

```bash
pip install -c constraints.txt -e ".[mutation]"
export OMP_NUM_THREADS=1
{commands}
python tests/mutation/report.py
```

`run.py` lets mutmut generate the mutants, collects the tests once, and judges every mutant in a fork of that process:
first by the tests that killed others of the same function, then by those among the rest that are quick and reach little
else. It can be stopped and started again. The first pass kills most mutants within a third of a second of quick tests
on NumPy and array-api-strict alone. The second tries those survivors again by all tests, torch's too, for which
`tests/mutation/reasons.toml` has no reason; it was repeated after a test was added. Without the options a single pass
does the work of both, but takes much longer.

## What is counted

- All functions and methods of `kds_ref`, with their defaults and error messages. mutmut leaves out what runs at import:
  constants, tables, the lambdas of the kernels in `kernels.py`, and the body of a property.
- Every mutant of mutmut 3.8.1 counts, those of error messages too; none is excluded. One that keeps the tests running
  until they are stopped is counted as killed.
- The tests of `tests/kds_ref`, with four examples for each property instead of thirty. Not used are the examples in
  docstrings, since every mutant has a copy of them, and the tests with `torch.compile`, which cannot follow mutmut's
  switch between original and mutant. So a score here is a lower bound for the whole suite."""


def collect() -> dict[str, Any]:
    """Count the verdicts that lie in mutants/, of modules that are done, and list the survivors with their reason."""
    from mutmut.mutation.data import SourceFileMutationData
    from mutmut.stats import status_by_exit_code
    from mutmut.utils.file_utils import walk_source_files

    modules, survivors = {}, []
    reasons = read_reasons()
    for path in sorted(walk_source_files()):
        data = SourceFileMutationData(path=path)
        data.load()
        if not data.exit_code_by_key:
            continue
        counts = Counter(status_by_exit_code[code] for code in data.exit_code_by_key.values())
        if counts["not checked"]:
            continue
        modules[path.stem] = {"mutants": counts.total(), **dict(sorted(counts.items()))}
        for name, code in data.exit_code_by_key.items():
            if status_by_exit_code[code] not in ("killed", "timeout"):
                survivors.append(survivor(name, path, reasons))
    return {"commands": COMMANDS, "mutmut": version("mutmut"), "modules": modules, "survivors": survivors}


def updated(before: dict[str, Any], now: dict[str, Any]) -> dict[str, Any]:
    """The results now, with those before of the modules that were not judged again; a note says which."""
    judged = now["modules"]
    modules = {name: judged.get(name, before["modules"].get(name)) for name in sorted({*judged, *before["modules"]})}
    kept = [one for one in before["survivors"] if one["function"].partition(".")[0] not in judged]
    survivors = sorted([*kept, *now["survivors"]], key=lambda one: one["function"].partition(".")[0])
    results = {**now, "modules": modules, "survivors": survivors}
    if older := [name for name in modules if name not in judged]:
        results["note"] = NOTE.format(modules=", ".join(f"`{name}`" for name in older))
    return results


def read_reasons() -> list[dict[str, str]]:
    """What reasons.toml says."""
    reasons: list[dict[str, str]] = tomllib.loads(REASONS.read_text(encoding="utf-8"))["reason"]
    return reasons


def survivor(name: str, path: Path, reasons: list[dict[str, str]]) -> dict[str, str]:
    """One survivor: its name, its function, what changed into what, and why no test can tell."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.utils.format_utils import orig_function_and_class_names_from_key

    function, owner = orig_function_and_class_names_from_key(name)
    function = ".".join([path.stem, *([owner] if owner else []), function])
    lines = get_diff_for_mutant(name, path=path).splitlines()[2:]
    before, after = (" ".join(line[1:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    why = [
        reason["why"]
        for reason in reasons
        if fnmatchcase(function, reason["function"])
        and re.search(reason.get("original", ""), before)
        and re.search(reason["change"], after)
    ]
    return {"mutant": name, "function": function, "before": before, "after": after, "reason": (why or [""])[0]}


def score(modules: dict[str, Any]) -> float:
    """Part of the mutants that the tests notice; one that runs on and on is noticed too."""
    noticed = sum(counts.get("killed", 0) + counts.get("timeout", 0) for counts in modules.values())
    return noticed / sum(counts["mutants"] for counts in modules.values())


def table(results: dict[str, Any]) -> str:
    """Mutants, killed, survivors and score of each module."""
    lines = ["| module | mutants | killed | of them by time | survivors | score |", "|---|---|---|---|---|---|"]
    rows = {**results["modules"], "all": sum((Counter(c) for c in results["modules"].values()), Counter())}
    for module, counts in rows.items():
        late = counts.get("timeout", 0)
        killed = counts.get("killed", 0) + late
        name = module if module == "all" else f"`{module}`"
        part = f"{100.0 * killed / counts['mutants']:.1f} %"
        lines.append(f"| {name} | {counts['mutants']} | {killed} | {late} | {counts['mutants'] - killed} | {part} |")
    return "\n".join(lines)


def survivors(results: dict[str, Any]) -> str:
    """Every survivor with its change and the reason why it behaves as the original does, module by module."""
    lines = []
    for module, of_module in groupby(results["survivors"], key=lambda one: one["function"].partition(".")[0]):
        lines += [f"### {module}", ""]
        for one in of_module:
            before, after = shortened(one["before"], one["after"])
            function = one["function"].partition(".")[2]
            lines.append(f"- `{function}`: {code(before)} becomes {code(after)}. {one['reason']}")
        lines.append("")
    return "\n".join(lines[:-1])


def shortened(before: str, after: str, around: int = 24) -> tuple[str, str]:
    """The part in which two lines differ, with some of what stands around it."""
    first = next((i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), 0)
    pairs = zip(reversed(before[first:]), reversed(after[first:]), strict=False)
    last = next((i for i, (a, b) in enumerate(pairs) if a != b), 0)
    start = max(first - around, 0)
    ends = [max(len(text) - last + around, first) for text in (before, after)]
    cut = [text[start:end] for text, end in zip((before, after), ends, strict=True)]
    return tuple(("…" if start else "") + part + ("…" if end < len(text) else "")
        for part, end, text in zip(cut, ends, (before, after), strict=True))  # fmt: skip


def code(text: str) -> str:
    """Text as code in Markdown."""
    return f"`` {text} ``" if text else "nothing"


def page(results: dict[str, Any]) -> str:
    """The page of the documentation."""
    head = HEAD.format(commands="\n".join(results["commands"]))
    head += f"\n\n{results['note']}" if "note" in results else ""
    return f"{head}\n\n## Modules\n\n{table(results)}\n\n## Survivors\n\n{survivors(results)}\n"


def main() -> int:
    """Write both files; say what is missing."""
    results = collect()
    if RESULTS.exists():
        results = updated(json.loads(RESULTS.read_text(encoding="utf-8")), results)
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(results), encoding="utf-8")
    missing = [one["mutant"] for one in results["survivors"] if not one["reason"]]
    print(table(results), *(f"no reason: {name}" for name in missing), sep="\n")
    return int(bool(missing))


if __name__ == "__main__":
    sys.exit(main())
