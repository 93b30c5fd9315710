"""`exprl doctor`: can this machine do the work, and can the judge be reached?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from exprl.cli.options import AsJson, Overrides, console

__all__ = ["doctor_"]


def doctor_(
    config: Annotated[Path | None, Parameter(help="Also check this configuration's policy, data and judge.")] = None,
    *overrides: Overrides,
    as_json: AsJson = False,
) -> None:
    """Check Python, packages, devices, disk, and a configuration's policy, data and judge; exit code 1 on a failure."""
    from exprl.cli.settings import load_config
    from exprl.pipeline.doctor import examine

    findings = examine(load_config(config, overrides) if config is not None else None)
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings]))
    else:
        out = console()
        for finding in findings:
            mark = "ok  " if finding.ok else "FAIL"
            out.print(f"{mark} {finding.what}: {finding.detail}", highlight=False, markup=False)
    sys.exit(0 if all(finding.ok for finding in findings) else 1)
