"""What --help says of each command, before its options."""

from __future__ import annotations

__all__ = ["BENCH", "EVALUATE", "GPU_CHECK", "INPAINT", "SR"]

SR = """\
Restore a low-resolution photo four times as large. Written to the output folder:

  restored.png     the restored photo
  comparison.png   low resolution, bicubic, the plain sampler and KDS side by side (and the truth, with --degrade)
  spread.png       where the particles disagree: black, they agree; the lighter, the less is to be trusted
  result.json      settings, versions, diagnostics of the ensemble (and, with --degrade, every score)

With --degrade the photo is the truth: it is blurred, reduced by four, made noisy and compressed, then restored, and
PSNR and SSIM tell apart what steering does and what choosing the particle does.
"""
INPAINT = """\
Paint a part of a photo. Written to the output folder:

  restored.png     the photo with the part painted
  comparison.png   the photo without the part, the plain sampler and KDS side by side (and the truth, if it is known)
  spread.png       where the particles disagree: black, they agree; the lighter, the less is to be trusted
  result.json      settings, versions, diagnostics of the ensemble (and every score, if the truth is known)

With --mask the photo is damaged where the mask is light, and the truth is unknown. With --center-box a part of a whole
photo is hidden, and PSNR and SSIM, over the hole and over the whole photo, tell apart what steering does and what
choosing the particle does.
"""
EVALUATE = """\
Run the comparison of `sr --degrade` on a folder of photos: same noise with and without KDS, means with standard errors,
paired tests. If killed, start it again with the same options: it resumes where it stopped. With --quality,
sheet.png shows samples beside the truth, and ranks.png the ranks of the truth among them.

With --task inpaint the plain samples of an inpainting model are judged instead, in seven kinds of holes: are they
exchangeable with the truth, what do they score beside biharmonic interpolation, does the border show? sheet-KIND.png
shows the same for each kind, ranks.png the ranks of all kinds. What KDS does in holes is measured by `bench table3`.
"""
BENCH = """\
Run one of the paper's studies, or one beyond it, or several, or all, on a folder of photos: same noise in all of its
lines, means with intervals, paired tests. If killed, start it again with the same options: it resumes where it
stopped. Written to the output folder (of several: a folder for each study, beside sr/ and inpaint/ with the rows):

  report.md     tables of the lines and of their differences, the paper's numbers next to them
  report.json   the same as numbers, with settings, versions and the command
  NAME.png      the plot
  rows.jsonl    one row per photo and ensemble

Options that a study goes through take several values there, --seed in every study; all others take one.
"""
GPU_CHECK = """\
Measure what KDS costs on a GPU, and check that its results are those of the CPU. Networks have random weights, so
nothing is downloaded. The most important comes first; what there is no time for is named. Written to the output folder:

  gpu_check.json  every measurement, the card's name and versions
  gpu_check.md    the same as tables
"""
