"""The command line: options, what each command does with them, and how errors end.

Called by `python -m real`, and for its parts by `python -m real.train` and `python -m real.backbones`.
"""
