"""One ensemble, several processes: who draws which particles, and how all of them see all.

Most of `real` only takes a `Ranks` and hands it on.
"""
