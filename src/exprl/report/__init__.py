"""One static HTML file a run: what happened, in words, tables, curves and rollouts to read.

`write_report` reads a run directory and nothing else, and writes `report.html` into it: one file that needs no
network, no script and no server. Importing this package costs no jinja2; writing a report does (`pip install
'exprl[eval]'`).

    read, tally, rows  the run directory, as far as it goes
    findings        what happened in words; what counts as a difference
    cautions        what is missing, and what weakens the numbers
    alarms          what the monitor warned of, and what it watched
    comparison      arms against each other, and against the paper's orderings
    various         diversity of answers and of ways to them
    tables, costs   numbers in rows
    scales, charts  axes and SVG
    curves, unlocked  what is drawn
    rooms, pieces   rollouts on show (the policy's side)
    evaluator       judge replies (the evaluator's side)
    page            put together, and written
"""

from __future__ import annotations

from exprl.report.page import write_report

__all__ = ["write_report"]
