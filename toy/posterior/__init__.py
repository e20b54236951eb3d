"""Posteriors that are known exactly: mixtures of Gaussians after a linear measurement, in the plane and on photos.

Modules, in the order in which data passes: `batch` and `conditioning` (the exact posteriors), `prior` and `photos`
(a mixture fitted to patches of photos, and photos to measure), `degradations` (what is measured), `methods` (how
answers are sampled), `answers` (one answer of many particles), `scores` (what it is worth), `plane`, `patches` and
`bound` (the three parts of the study), `theory` (the linear case in closed form), `study` and `journal` (all parts,
resumed where they stopped), `figures`, `report` and `command`.
"""
