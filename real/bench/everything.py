"""All studies at once: each ensemble is drawn once for all of them, and a readable report is there early.

The photos are gone through in stages. After the first few photos every study has a report, which grows with each stage;
a study ends at the number of photos that it asks for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from real.bench.photos import Photo
from real.bench.request import StudyRequest
from real.bench.runner import StudyRunner
from real.images.files import write_atomically
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
        requests: They differ in study and grid alone.
        open_for: "sr" or "inpaint" -> the model.
        folder: It must exist.

    Returns:
        The last report of every study, by its name.

    Raises:
        UserError: No photo can be read, the folder holds something else, or a model cannot do what is asked for.
    """
    reports: dict[str, dict[str, Any]] = {}
    with contextlib.ExitStack() as stack:
        runners = []
        for task in dict.fromkeys(request.study.task for request in requests):
            place = folder / task
            place.mkdir(exist_ok=True)
            of_task = [request for request in requests if request.study.task == task]
            runners.append(stack.enter_context(StudyRunner.opened(of_task, open_for(task), place)))

        stages = _stages(requests)
        everything = sum(runner.cost(runner.work(photos_of(runner, stages[-1]))) for runner in runners)
        bar = stack.enter_context(tqdm(total=everything, desc="all studies", unit="evaluation", smoothing=0.02))
        for stage in stages:
            for runner in runners:
                photos = photos_of(runner, stage)
                runner.fill(runner.work(photos), bar)
                for request in runner.requests:
                    reports[request.name] = runner.report(request, photos[request.name], folder / request.name)
            _write_index(folder, reports)
    return reports


def photos_of(runner: StudyRunner, stage: int) -> Mapping[str, Sequence[Photo]]:
    """The photos of each study at a stage: no more than it asks for, or than `limit` allows."""
    return {
        request.name: request.photos[: min(stage, request.study.photos, request.limit or stage)]
        for request in runner.requests
    }


def _stages(requests: Sequence[StudyRequest]) -> list[int]:
    """Those that add photos."""
    first = requests[0]
    most = min(len(first.photos), first.limit or len(first.photos), max(r.study.photos for r in requests))
    return [stage for stage in STAGES if stage < most] + [most]


def _write_index(folder: Path, reports: Mapping[str, Mapping[str, Any]]) -> None:
    """What there is so far."""
    lines = ["# All studies", "", "| study | photos | |", "| --- | --- | --- |"]
    for name, report in reports.items():
        lines.append(f"| [{name}]({name}/report.md) | {report['photos']} | {report['title']} |")
    write_atomically(folder / "index.md", lambda path: path.write_text("\n".join([*lines, ""])))
