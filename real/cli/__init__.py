"""The command line: options, what each command does with them, and how errors end.

`python -m real` runs the commands; the package's other command lines share the options and the errors.
"""
