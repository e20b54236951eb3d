"""All studies at once: each ensemble is drawn once for all of them, and a readable report is there early.

The photos are gone through in stages, and at each stage the studies in their order. After the first few photos every
study has a report, which grows with each stage; a study ends at the number of photos that it asks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from real.bench.request import StudyRequest
from real.bench.runner import StudyRunner
from real.images.files import write_text
from real.models.base import Model

__all__ = ["STAGES", "run_everything"]

STAGES = (3, 10, 30, 100)  # photos after which the reports are written


def run_everything(
    requests: Sequence[StudyRequest], open_for: Callable[[str], Model], folder: Path
) -> dict[str, dict[str, Any]]:
    """Run what is missing of all studies, with a bar that says the time left for all of it.

    Written into `folder`: a store for each task, `sr/` and `inpaint/`; a folder with the report of each study; and
    `index.md`, which says what there is.

    Args:
        requests: Requests, which differ in study, grid and limit alone.
        open_for: "sr" or "inpaint" -> the model.
        folder: Folder for the results; it must exist.

    Returns:
        The last report of every study, by its name.

    Raises:
        UserError: No photo can be used, the folder holds something else, or a model cannot do what is asked for.
    """
    reports: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        runners = [stack.enter_context(runner) for runner in _opened(requests, open_for, folder)]
        everything = sum(runner.cost(runner.work(runner.requests)) for runner in runners)
        bar = stack.enter_context(tqdm(total=everything, desc="all studies", unit="evaluation", smoothing=0.02))

        # Every study reports on a few photos before one goes on to more: there is something to read early.
        before = 0
        for stage in _stages(requests):
            for runner in runners:
                for request in runner.requests:
                    if len(request.judged) <= before:
                        continue  # it ended at an earlier stage
                    runner.fill(runner.work([request], first=stage), bar)
                    photos = request.judged[:stage]
                    if stage < len(request.judged) and all(photo.name in runner.left_out for photo in photos):
                        continue  # the first few cannot be used, a later one may
                    reports[request.name] = runner.report(request, photos, folder / request.name)
                    _write_index(folder, reports)
            before = stage
    return reports


def _opened(
    requests: Sequence[StudyRequest], open_for: Callable[[str], Model], folder: Path
) -> Iterator[contextlib.AbstractContextManager[StudyRunner]]:
    """A runner for each task, since another model is another store."""
    for task in dict.fromkeys(request.study.task for request in requests):
        place = folder / task
        place.mkdir(exist_ok=True)
        of_task = [request for request in requests if request.study.task == task]
        yield StudyRunner.opened(of_task, open_for(task), place)


def _stages(requests: Sequence[StudyRequest]) -> list[int]:
    """Numbers of photos after which reports are written: stages that add photos to some study."""
    most = max(len(request.judged) for request in requests)
    return [stage for stage in STAGES if stage < most] + [most]


def _write_index(folder: Path, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """What there is so far."""
    lines = ["# All studies", "", "| study | photos | |", "| --- | --- | --- |"]
    for name, report in reports.items():
        lines.append(f"| [{name}]({name}/report.md) | {report['photos']} | {report['title']} |")
    write_text(folder / "index.md", "\n".join([*lines, ""]))
