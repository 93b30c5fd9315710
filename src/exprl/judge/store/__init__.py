"""What was asked of a judge model is kept, and what it cost: one SQLite file for all processes of a run.

`database` is the file, `store` the one writer of a process, `cache` the verdicts, `ledger` the costs.
"""
