"""`exprl report`: the summary and the report of a run, made again from its files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exprl.cli.options import AsJson, console

__all__ = ["report_"]


def report_(run: Annotated[Path, Parameter(help="A run directory.")], *, as_json: AsJson = False) -> None:
    """Write summary.json and report.html of a run, finished or not."""
    from exprl.cli.tables import show_summary
    from exprl.pipeline.summary import write_summary
    from exprl.report import write_report
    from exprl.runs import RunDir

    directory = RunDir.open(run)
    summary = write_summary(directory)
    path = write_report(directory.path)
    show_summary(summary, as_json=as_json)
    console(as_json).print(f"report: {path}", highlight=False)
