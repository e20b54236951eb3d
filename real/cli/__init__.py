"""The command line: options, what each command does with them, and how errors end. Called by `python -m real` alone."""
