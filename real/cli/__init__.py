"""The command line: options, what each command does with them, and how errors end.

Called by `python -m real`, and for its parts by the other command lines: those of `train`, `backbones`, `priors`.
"""
