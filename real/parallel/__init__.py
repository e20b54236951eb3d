"""One ensemble, several processes: who draws which particles, and how all of them see all.

Called by `plugin`, `sampling` and the commands; the rest of `real` takes a `Ranks` and hands it on.
"""
