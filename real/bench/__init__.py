"""The paper's studies as commands: `python -m real bench NAME`.

A study is data (`studies`): lines of a table, what is compared, the paper's rows beside them, a plot. One runner
(`runner`) draws what the lines need and keeps one row per photo and ensemble (`real.records.journal`); one report
(`report`) turns rows into means, intervals, tests, a table and a plot. Many photos outside the studies: `evaluate` and
`reconstruction`. `cost` is Table 4's seconds and memory.
"""
