"""The page "When does KDS help?", from posterior.json beside it.

    python docs/posterior/render.py

writes docs/posterior/index.md: page.md.in with every {{ expression }} replaced by what it is, the functions below
being known in it. So no number on the page is typed; tests/package/test_posterior_page.py holds its sentences.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PAGE = FOLDER / "index.md"
PHOTO_ANSWERS = {"random": "one particle", "chosen": "chosen", "chosen_by_patch": "chosen by patch",
                 "average": "average", "halfway": "halfway"}  # fmt: skip
PLANE_LINES = {"plain": "plain", "h=0.3 to 0.3": "KDS, h = 0.3 to 0.3", "h=0.3 to 0": "KDS, h = 0.3 to the end",
               "h=1 to 0": "KDS, h = 1 to the end", "h=3 to 0": "KDS, h = 3 to the end"}  # fmt: skip
NAMES = {"exact samples": "exact samples", "plain": "plain DDIM"}


def load() -> dict[str, Any]:
    """Return the committed results."""
    found: dict[str, Any] = json.loads((FOLDER / "posterior.json").read_text(encoding="utf-8"))
    return found


class Numbers:
    """The numbers of the results as text."""

    def __init__(self, results: dict[str, Any]) -> None:
        self.results = results

    def answer(self, line: str, answer: str, part: str = "average") -> dict[str, Any]:
        """Everything about one answer on photos."""
        found: dict[str, Any] = self.results[part][line]["answers"][answer]
        return found

    def psnr(self, line: str, answer: str, part: str = "average") -> str:
        """PSNR against the truth."""
        return f"{self.answer(line, answer, part)['psnr_truth']:.2f}"

    def gain(self, line: str, answer: str, part: str = "average") -> str:
        """Gain in PSNR over a random plain particle, with its interval."""
        one = self.answer(line, answer, part)["psnr_gain_truth"]
        return f"{one['mean']:+.2f} [{one['low']:+.2f}, {one['high']:+.2f}] dB"

    def density(self, line: str, answer: str, part: str = "average") -> str:
        """Mean log density of a patch."""
        return f"{self.answer(line, answer, part)['log_density']['mean']:.1f}"

    def photos(self, *lines: str, part: str = "average") -> str:
        """Table of lines: PSNR against the truth and log density of every answer."""
        rows = [f"| | evaluations | {' | '.join(PHOTO_ANSWERS.values())} |", "|---|---|" + "---|" * len(PHOTO_ANSWERS)]
        for line in lines:
            found = self.results[part][line]
            cells = [
                f"{self.psnr(line, one, part)} / {self.density(line, one, part)}" if one in found["answers"] else "–"
                for one in PHOTO_ANSWERS
            ]
            rows.append(f"| {NAMES.get(line, line)} | {found['evaluations'] or '–'} | {' | '.join(cells)} |")
        return "\n".join(rows)

    def ensembles(self, *lines: str, part: str = "average") -> str:
        """Table of what ensembles are worth as a stand-in for the posterior."""
        rows = ["| | energy distance | spread | outside |", "|---|---|---|---|"]
        for line in lines:
            found = self.results[part][line]["ensemble"]
            energy, spread, outside = (found[score]["mean"] for score in ("energy_distance", "spread", "outside"))
            rows.append(f"| {NAMES.get(line, line)} | {energy:.4f} | {spread:.2f} | {100 * outside:.0f}% |")
        return "\n".join(rows)

    def plane(self, part: str, *cases: str) -> str:
        """Table of the plane: error over the least possible, and log density, of random, chosen and average."""
        rows = ["| | | one particle | chosen | average |", "|---|---|---|---|---|"]
        for case in cases:
            for line, label in PLANE_LINES.items():
                found = self.results[part][case][line]["answers"]
                cells = (
                    f"{found[a]['error_over_least']['mean']:.2f} / {found[a]['log_density']['mean']:.2f}"
                    for a in ("random", "chosen", "average")
                )
                rows.append(f"| {case if line == 'plain' else ''} | {label} | {' | '.join(cells)} |")
        return "\n".join(rows)

    def share(self, case: str, line: str, answer: str = "random") -> str:
        """Percentage of answers in the spurious mode."""
        found = self.results["plane, spurious"][case][line]["answers"][answer]["shares"][-1]["mean"]
        return f"{100 * found:.1f}%"

    def shares(self, *cases: str) -> str:
        """Table of what is in the spurious mode: particles / chosen ones."""
        rows = [f"| | {' | '.join(PLANE_LINES.values())} |", "|---|" + "---|" * len(PLANE_LINES)]
        for case in cases:
            known = self.results["plane, spurious"][case]
            cells = (
                f"{self.share(case, line)} / {self.share(case, line, 'chosen')}" if line in known else "–"
                for line in PLANE_LINES
            )
            rows.append(f"| {case} | {' | '.join(cells)} |")
        return "\n".join(rows)

    def choosing(self, line: str = "plain") -> str:
        """Table of the part of the way from a random particle to the average that choosing goes."""
        rows = ["| places in a picture | part of the way |", "|---|---|"]
        for row in self.results["choosing"][line]["rows"]:
            part = row["part_of_the_way"]
            rows.append(f"| {row['places']} | {part['mean']:.2f} [{part['low']:.2f}, {part['high']:.2f}] |")
        return "\n".join(rows)

    def halfway(self, answer: str) -> str:
        """Expected squared error of plain answers, every patch its own picture."""
        found = self.results["choosing"]["plain"]
        return f"{(found if answer == 'average' else found['rows'][0])[answer]:.4f}"

    def halfway_density(self, answer: str) -> str:
        """Their log density."""
        return f"{self.results['choosing']['plain']['rows'][0]['log_density'][answer]:.1f}"

    def bound(self, part: str, *points: tuple[str, str]) -> str:
        """Table of the plane of distortion and perception: error, distance, and the error over the optimum's."""
        least = self.results[part]["exact samples"]["random, 0 of the way from the exact mean"]["error"]
        rows = ["| | squared error | distance | over the least error at this distance |", "|---|---|---|---|"]
        for line, answer in points:
            point = self.results[part][line][answer]
            best = least + max(least**0.5 - point["distance"], 0) ** 2
            label = f"{NAMES.get(line, line)}, {PHOTO_ANSWERS.get(answer, answer)}"
            rows.append(f"| {label} | {point['error']:.4f} | {point['distance']:.3f} | {point['error'] / best:.2f} |")
        return "\n".join(rows)


def page(results: dict[str, Any]) -> str:
    """Return the page."""
    numbers = Numbers(results)
    known = {name: getattr(numbers, name) for name in dir(numbers) if not name.startswith("_")}
    template = (FOLDER / "page.md.in").read_text(encoding="utf-8")

    def value(match: re.Match[str]) -> str:
        return str(eval(" ".join(match[1].split()), {}, known))  # an expression may run over two lines

    return re.sub(r"\{\{ (.+?) \}\}", value, template, flags=re.DOTALL)


if __name__ == "__main__":
    PAGE.write_text(page(load()), encoding="utf-8")
