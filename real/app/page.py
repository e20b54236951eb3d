"""The page: a photo, the settings, and what becomes of it. It holds no method of its own: `jobs` and `runs` do."""

from __future__ import annotations

import html
import threading
from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr
from PIL import Image

from real.app.jobs import make_job
from real.app.runs import Outcome, Step, run
from real.errors import UserError
from real.images.photos import sample_photo
from real.models.base import Model
from real.opening import TASKS
from real.settings import SAMPLERS, Settings

__all__ = ["Stops", "build_page", "numbers", "restore", "scales", "status", "update"]

HEAD = """\
# Kernel Density Steering on your photo

Several samples of a diffusion model run side by side, and at every step each moves a little towards where they agree.
Nothing leaves the computer that this page comes from.
"""
COLUMNS = {
    "hole_psnr_rgb": "PSNR of the hole",
    "hole_ssim_rgb": "SSIM of the hole",
    "psnr_rgb": "PSNR",
    "ssim_rgb": "SSIM",
}
LEAST_SIDE, MOST_SIDE = 32, 256
HEIGHT = 280
PICTURE: dict[str, Any] = {"format": "png", "buttons": ["download", "fullscreen"]}  # without gradio's sharing
LABELS = {
    "plain": "One particle without KDS",
    "average": "The average of all",
    "spread": "Where they disagree",
    "moved": "Where steering moved them",
}

Updates = dict[Any, Any]


class Stops:
    """How the runs of each browser tab are stopped: one run per tab."""

    def __init__(self) -> None:
        self._events: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def start(self, session: str | None) -> threading.Event:
        """The event of a new run; what ran in this tab before is stopped."""
        event = threading.Event()
        with self._lock:
            before = self._events.pop(str(session), None)
            self._events[str(session)] = event
        if before is not None:
            before.set()
        return event

    def stop(self, request: gr.Request) -> None:
        """Stop what runs in a tab."""
        with self._lock:
            event = self._events.pop(str(request.session_hash), None)
        if event is not None:
            event.set()


def status(text: str, step: Step | None = None) -> str:
    """The status line as HTML, with a bar while something is running."""
    bar = "" if step is None else f'<progress value="{step.done}" max="{step.total}"></progress> '
    return f'<p role="status">{bar}{html.escape(text)}</p>'


def numbers(scores: dict[str, dict[str, float]]) -> str:
    """Scores as a Markdown table; a sentence where there are none."""
    if not scores:
        return "No numbers: the truth is not known."
    columns = {name: title for name, title in COLUMNS.items() if name in next(iter(scores.values()))}
    rows = ["| | " + " | ".join(columns.values()) + " |", "|---|" + "---:|" * len(columns)]
    for method, score in scores.items():
        cells = (f"{score[name]:.2f} dB" if "psnr" in name else f"{score[name]:.3f}" for name in columns)
        rows.append(f"| {method} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def scales(outcome: Outcome) -> str:
    """What the lightest colour of each map means."""
    disagree = "one particle has nothing to disagree with"
    if outcome.spread is not None:
        disagree = f"light where they disagree: the particles differ by {outcome.spread[1]:.1f} of 255"
    return f"{disagree}; light where steering moved them: by {outcome.moved[1]:.2g} in the latents, all steps together"


def update(outcome: Outcome) -> dict[str, Any]:
    """What the page shows of an outcome, by the name of the place."""
    mark = {outcome.chosen: ", chosen"}  # a longer caption is cut off
    captions = [f"particle {i}{mark.get(i, '')}" for i in range(len(outcome.images))]

    return {
        "compare": (outcome.before, outcome.images[outcome.chosen]),
        "numbers": f"{numbers(outcome.scores)}\n\n{scales(outcome).capitalize()}.",
        "plain": outcome.plain,
        "average": outcome.average,
        "spread": None if outcome.spread is None else outcome.spread[0],
        "moved": outcome.moved[0],
        "particles": list(zip(outcome.images, captions, strict=True)),
    }


def build_page(open_for: Callable[[str], Model]) -> gr.Blocks:
    """The page.

    Args:
        open_for: Task, "sr" or "inpaint" -> the model, loaded. It is called again for every run, and should remember.
    """
    stops = Stops()
    with gr.Blocks(title="Kernel Density Steering", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(HEAD)
        with gr.Row():
            with gr.Column():
                asked = _inputs()
                with gr.Row():
                    start, stop = gr.Button("Restore", variant="primary"), gr.Button("Stop")
                    sample = gr.Button("Take a sample photo")
            with gr.Column():
                shown = _outputs()
        shown["particles"] = gr.Gallery(label="All particles", columns=5, elem_id="particles", **PICTURE)

        def clicked(request: gr.Request, *values: Any) -> Iterator[Updates]:  # gradio fills the first in
            given = dict(zip(asked, values, strict=True))
            for updates in restore(given, open_for, stops.start(request.session_hash)):
                yield {shown[name]: value for name, value in updates.items()}

        # gradio would also publish what the buttons do as an API.
        private: dict[str, Any] = {"api_visibility": "private"}
        start.click(clicked, list(asked.values()), list(shown.values()), show_progress="hidden", **private)
        stop.click(stops.stop, queue=False, **private)
        sample.click(lambda: Image.fromarray(sample_photo()), outputs=asked["editor"], queue=False, **private)
        page.unload(stops.stop)
    return page


def restore(
    given: dict[str, Any], open_for: Callable[[str], Model], stop: threading.Event
) -> Iterator[dict[str, Any]]:
    """Updates by the name of the place, once per step.

    Args:
        given: What the user set, by the name of the place.
        open_for: Function that returns the model of a task, see `build_page`.
        stop: Event that ends the run when it is set.
    """
    try:
        settings = _settings(given)
        job = make_job(given["editor"], given["task"], settings, truth=given["truth"], side=int(given["side"]))
        yield {"status": status("The model is being loaded.")}
        model = open_for(job.task)
        size = f"{job.photo.shape[1]} x {job.photo.shape[0]} pixels"
        for message in run(job, model, stop):
            if isinstance(message, Outcome):
                yield {"status": status(f"Done: {size}, N = {settings.particles}."), **update(message)}
                return
            yield {"status": status(f"{size}: {message.done} of {message.total}", message)}
        yield {"status": status("Stopped.")}
    except UserError as error:
        yield {"status": status(f"This does not work: {error}")}


def _settings(given: dict[str, Any]) -> Settings:
    """The settings; a number that the method does not take is an error of the user."""
    try:
        return Settings(
            particles=int(given["particles"]),
            bandwidth=given["bandwidth"] or None,
            strength=given["strength"],
            cutoff=given["cutoff"],
            sampler=given["sampler"],
            steps=int(given["steps"]),
            seed=int(given["seed"] or 0),
        )
    except (TypeError, ValueError) as error:
        raise UserError(str(error)) from error


def _inputs() -> dict[str, Any]:
    """What the user sets, by name."""
    places: dict[str, Any] = {
        "editor": gr.ImageEditor(
            type="pil",
            format="png",
            sources=("upload", "clipboard"),
            transforms=(),
            layers=False,
            brush=gr.Brush(colors=["#ff00aa"], default_size=24),
            label="The photo. For a hole, paint over what is to be replaced",
            elem_id="photo",
        ),
        "task": gr.Radio(
            [("four times as large", TASKS[0]), ("fill what is painted over", TASKS[1])], value=TASKS[0], label="Task"
        ),
        "truth": gr.Checkbox(label="The photo is the truth: spoil it first, then compare", elem_id="truth"),
    }

    with gr.Row():
        places["particles"] = gr.Slider(1, 20, value=5, step=1, label="N, particles")
        places["steps"] = gr.Slider(2, 100, value=20, step=1, label="steps (the paper: 50)")
    with gr.Row():
        places["bandwidth"] = gr.Number(label="h, bandwidth (0: the model's own)", value=0, minimum=0)
        places["strength"] = gr.Slider(0, 1, value=0.3, step=0.05, label="strength")
        places["cutoff"] = gr.Slider(0, 1, value=0.3, step=0.05, label="cut-off, t/T")
    with gr.Row():
        places["sampler"] = gr.Radio(list(SAMPLERS), value=SAMPLERS[0], label="sampler")
        places["seed"] = gr.Number(label="seed", value=0, precision=0, minimum=0)
    size = "longest side of the small photo in pixels; a photo with a hole has four times that"
    places["side"] = gr.Slider(LEAST_SIDE, MOST_SIDE, value=64, step=8, label=size)
    return places


def _outputs() -> dict[str, Any]:
    """Places on the page that show the results, by name; pictures are PNG, as `sr` writes them."""
    places: dict[str, Any] = {
        "status": gr.HTML(status("Drop a photo, or take the sample."), elem_id="status"),
        "compare": gr.ImageSlider(label="Before, and the chosen particle", elem_id="compare", **PICTURE),
        "numbers": gr.Markdown(elem_id="numbers"),
    }
    for names in (("plain", "average"), ("spread", "moved")):
        with gr.Row():
            for name in names:
                places[name] = gr.Image(label=LABELS[name], elem_id=name, height=HEIGHT, **PICTURE)
    return places

