"""How the numbers of a report are written, and which of the paper's they are."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["REPORTED", "Metric"]


@dataclass(frozen=True)
class Metric:
    """How a number is written.

    Attributes:
        label: Label with the unit.
        digits: Number of digits after the point.
        best: "high", "low", or "" where neither is better.
        paper: The paper's metric that is the same; empty where the paper has none.
    """

    label: str
    digits: int
    best: str
    paper: str = ""


REPORTED = {
    "psnr_rgb": Metric("PSNR RGB, dB", 2, "high", "psnr"),
    "ssim_rgb": Metric("SSIM RGB", 3, "high", "ssim"),
    "psnr_y": Metric("PSNR Y, dB", 2, "high"),
    "ssim_y": Metric("SSIM Y", 3, "high"),
    "blur_effect": Metric("blur effect", 3, ""),
    "lpips_hed": Metric("LPIPS-HED", 4, "low"),
    "lpips": Metric("LPIPS", 3, "low", "lpips"),
    "dists": Metric("DISTS", 3, "low", "dists"),
    "nima": Metric("NIMA", 3, "high", "nima"),
    "maniqa": Metric("MANIQA (KonIQ)", 3, "high", "maniqa"),
    "maniqa_pipal": Metric("MANIQA (PIPAL)", 3, "high", "maniqa"),
    "clipiqa": Metric("CLIPIQA", 3, "high", "clipiqa"),
    "brisque": Metric("BRISQUE", 1, "low"),
    "liqe": Metric("LIQE", 3, "high", "liqe"),
    "fid_lite0": Metric("FID-Lite0", 2, "low"),
    "fid": Metric("FID", 2, "low", "fid"),
    "seconds": Metric("seconds", 2, "low", "seconds"),
    "memory_gb": Metric("memory, GB", 2, "low", "memory_gb"),
}
