"""Mutation tests of kds_ref: mutmut's mutants, judged in forks of one process that has collected the tests.

    pip install -c constraints.txt -e ".[mutation]"
    python tests/mutation/run.py
    python tests/mutation/report.py

judges every mutant without a verdict, so it can be stopped and started again; a function that changes loses its
verdicts. Settings are those of mutmut in pyproject.toml, verdicts lie where `mutmut results` and `mutmut show NAME`
look for them. `mutmut run` does the same, but collects the thousands of tests anew for every mutant. Where time is
short, `--without torch --seconds 1` kills most of them, and `--again` tries the survivors by all tests, with
`--unexplained` only those for which reasons.toml has no reason.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from mutmut.configuration import config
from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.trampoline import set_mutant_under_test
from mutmut.state import state
from mutmut.utils.file_utils import copy_also_copy_files, copy_src_dir, setup_source_paths, walk_source_files
from report import read_reasons, survivor

GENERATE = "from mutmut.__main__ import create_mutants; create_mutants(1)"  # in a process that imports no test
TIMES = Path("mutants/times.jsonl")
SURVIVED, KILLED, NO_TESTS = 0, 1, 33  # mutmut's exit codes; -24 is the signal of too much processor time
MEMORY = 8 * 2**30
REASONS = read_reasons()


class Judge:
    """Plugin for pytest: instead of running the collected tests it runs them for every mutant, in forks."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.seconds: dict[str, dict[str, float]] = defaultdict(dict)  # of each test that reaches a function
        self.reach: dict[str, int] = {}  # how many functions each test reaches
        self.deaths: dict[str, Counter[str]] = defaultdict(Counter)  # how many of its mutants a test has killed

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Time the tests, then judge the mutants file by file."""
        items = {item.nodeid: item for item in session.items}
        session.config.pluginmanager.unregister(name="terminalreporter")
        gc.freeze()
        while unknown := [items[name] for name in sorted(items.keys() - self.read_times())]:
            os.waitpid(fork(lambda unknown=unknown: self.time(session, unknown)), 0)
        paths = {path.stem: path for path in sorted(walk_source_files())}
        for module in self.options.modules or paths:
            self.judge(session, items, SourceFileMutationData(path=paths[module]))
        return True

    def time(self, session: pytest.Session, items: Sequence[pytest.Item]) -> int:
        """Run tests without a mutant; write down the processor time of each and the functions that it reaches."""
        set_mutant_under_test("stats")
        with TIMES.open("a") as file:
            for item in items:
                started = {"test": item.nodeid, "slow": self.options.slow}
                print(json.dumps(started), file=file, flush=True)  # all there is if it takes too long
                state()._stats.clear()
                start = process_time()
                limit(self.options.slow)
                failed = first_failure(session, [item]) is not None
                line = {"test": item.nodeid, "failed": failed, "without": self.options.without}
                line |= {"seconds": process_time() - start, "functions": sorted(state()._stats)}
                print(json.dumps(line), file=file, flush=True)
        return 0

    def read_times(self) -> set[str]:
        """The tests that have been timed, or took too long to be used."""
        lines = [json.loads(line) for line in TIMES.read_text().splitlines()] if TIMES.exists() else []
        if failed := [line["test"] for line in lines if line.get("failed")]:
            pytest.exit(f"without a mutant these fail: {failed}; correct them and delete {TIMES}", returncode=1)
        for line in lines:
            self.reach[line["test"]] = len(line.get("functions", ()))
            for function in line.get("functions", ()):
                self.seconds[function][line["test"]] = line["seconds"]
        last = {line["test"]: line for line in lines}
        return {name for name, line in last.items() if not self.is_worth_another_try(line)}

    def is_worth_another_try(self, line: dict[str, Any]) -> bool:
        """Whether a test took too long but may now, or reached nothing without a library that is here now."""
        if "functions" not in line:
            return bool(line["slow"] < self.options.slow)
        return not line["functions"] and bool(set(line["without"]) - set(self.options.without))

    def judge(self, session: pytest.Session, items: dict[str, pytest.Item], data: SourceFileMutationData) -> None:
        """Judge the mutants of one file, and save the verdicts as they come."""
        data.load()
        codes = data.exit_code_by_key
        again = {None, SURVIVED, NO_TESTS} if self.options.again else {None}
        waiting = [name for name, code in codes.items() if code in again and self.is_wanted(name, data.path)]
        running: dict[int, tuple[str, int]] = {}
        while waiting or running:
            if waiting and len(running) < self.options.workers:
                name = waiting.pop(0)
                chosen = [items[test] for test in self.choose(name.partition("__mutmut_")[0]) if test in items]
                reader, writer = os.pipe()
                running[fork(lambda: self.attempt(session, name, chosen, writer))] = name, reader  # noqa: B023
                os.close(writer)
                continue
            pid, status = os.wait()
            name, reader = running.pop(pid)
            with os.fdopen(reader) as file:
                self.deaths[name.partition("__mutmut_")[0]].update(file.read().splitlines())
            codes[name] = os.waitstatus_to_exitcode(status)
            data.save()
        print(data.path, dict(Counter(codes.values())), file=sys.__stderr__, flush=True)

    def is_wanted(self, name: str, path: Path) -> bool:
        """Whether a mutant is not explained yet, where only such are asked for."""
        return not (self.options.unexplained and survivor(name, path, REASONS)["reason"])

    def choose(self, function: str) -> list[str]:
        """Tests that reach a function, up to a sum of seconds: first those that killed most of its mutants, then the
        quick ones that reach little else.
        """
        seconds, deaths = self.seconds[function], self.deaths[function]
        chosen, total = [], 0.0
        for test in sorted(seconds, key=lambda test: (-deaths[test], seconds[test] * self.reach[test])):
            total += seconds[test]
            if total <= self.options.seconds or not chosen:
                chosen.append(test)
        return chosen

    def attempt(self, session: pytest.Session, name: str, items: Sequence[pytest.Item], writer: int) -> int:
        """Run the tests with a mutant; tell which one killed it."""
        if not items:
            return NO_TESTS
        set_mutant_under_test(name)
        limit(5.0 + 2.0 * sum(self.seconds[name.partition("__mutmut_")[0]][item.nodeid] for item in items))
        failed = first_failure(session, items)
        os.write(writer, (failed or "").encode())
        return SURVIVED if failed is None else KILLED


class Missing(MetaPathFinder):
    """Makes imports of some libraries fail, as if they were not installed."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> None:
        """Find nothing, and end the search for these."""
        if fullname.partition(".")[0] in self.names:
            raise ModuleNotFoundError(f"{fullname} is to be done without", name=fullname)


def first_failure(session: pytest.Session, items: Sequence[pytest.Item]) -> str | None:
    """Run tests in order up to the first that fails; its name, or None."""
    session.testsfailed = 0
    for item, following in zip(items, [*items[1:], None], strict=True):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.testsfailed:
            return item.nodeid
    return None


def limit(seconds: float) -> None:
    """End this process with SIGXCPU after that much more processor time, and let memory end before the machine's."""
    most = int(process_time() + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, resource.RLIM_INFINITY))


def fork(work: Callable[[], int]) -> int:
    """Do the work in a child that says nothing; its process id."""
    pid = os.fork()
    if pid:
        return pid
    code = KILLED
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, 2):
            os.dup2(nowhere, stream)
        code = work()
    finally:
        os._exit(code)


def main(argv: Sequence[str] | None = None) -> int:
    """Generate the mutants that are missing, then judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("modules", nargs="*", help="only these, in this order, e.g. modes _merging")
    parser.add_argument("--again", action="store_true", help="judge survivors again, after a test was added")
    parser.add_argument("--unexplained", action="store_true", help="only mutants without a reason in reasons.toml")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="mutants at once")
    parser.add_argument("--seconds", type=float, default=60.0, help="most processor time of tests for one mutant")
    parser.add_argument("--slow", type=float, default=10.0, help="tests that take longer are not used")
    parser.add_argument("--without", nargs="*", default=[], metavar="LIBRARY", help="skip the tests that need these")
    options = parser.parse_args(argv)
    sys.meta_path.insert(0, Missing(options.without))
    arguments = ["--rootdir=mutants", "-qq", *config().pytest_add_cli_args]
    copy_src_dir()
    copy_also_copy_files()
    if any(path.stat().st_mtime >= Path("mutants", path).stat().st_mtime for path in walk_source_files()):
        subprocess.run([sys.executable, "-c", GENERATE], check=True)
    setup_source_paths()
    tests = [f"mutants/{path}" for path in config().pytest_add_cli_args_test_selection]
    return int(pytest.main([*arguments, *tests], plugins=[Judge(options)]))


if __name__ == "__main__":
    sys.exit(main())
