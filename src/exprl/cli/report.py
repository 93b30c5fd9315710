"""`exprl report`: the summary and the report of a run, made again from its files; several runs in one comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exprl.cli.options import AsJson, console

__all__ = ["report_"]


def report_(
    run: Annotated[Path, Parameter(help="A run directory.")],
    *others: Annotated[Path, Parameter(help="More runs, to be compared with it on the sets that they share.")],
    out: Annotated[Path | None, Parameter(help="Where the page of several runs goes. [default: compare.html]")] = None,
    as_json: AsJson = False,
) -> None:
    """Write summary.json and report.html of a run, finished or not; or one page that compares several runs."""
    if others:
        _compare([run, *others], out or Path("compare.html"), as_json=as_json)
        return
    if out is not None:
        from exprl.errors import ConfigError

        raise ConfigError(f"--out {out} is for several runs; the report of one run stands in its directory")
    from exprl.cli.tables import show_summary
    from exprl.pipeline.summary import write_summary
    from exprl.report import write_report
    from exprl.runs import RunDir

    directory = RunDir.open(run)
    summary = write_summary(directory)
    path = write_report(directory.path)
    show_summary(summary, as_json=as_json)
    console(as_json).print(f"report: {path}", highlight=False)


def _compare(runs: list[Path], out: Path, *, as_json: bool) -> None:
    from exprl.cli.tables import show_summary
    from exprl.pipeline.several import compare_runs

    summary, path = compare_runs(runs, out)
    show_summary(summary, as_json=as_json)
    console(as_json).print(f"comparison: {path}", highlight=False)
