"""`exprl overlap`: do evaluation problems stand in the training data?"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter, validators

from exprl.cli.options import AsJson, console

__all__ = ["overlap_"]


def overlap_(
    train: Annotated[str, Parameter(help="Training problems: a .jsonl or .parquet path, a Hub id, or a world's set.")],
    evaluation: Annotated[str, Parameter(help="Evaluation problems, likewise.")],
    *,
    ngram: Annotated[
        int, Parameter(validator=validators.Number(gte=1), help="Words in a row that count as overlap.")
    ] = 13,
    column: Annotated[str, Parameter(help="The column that holds the problem.")] = "problem",
    as_json: AsJson = False,
) -> None:
    """Exact and n-gram overlap between two sets; exit code 1 if a problem stands in both."""
    from exprl.config import ColumnMap, SourceConfig
    from exprl.data import find_overlap, load_problems

    columns = ColumnMap(problem=column)
    sets = [load_problems(SourceConfig(path=path, columns=columns)) for path in (train, evaluation)]
    result = find_overlap(sets[0], sets[1], ngram=ngram)
    if as_json:
        print(json.dumps({"exact": [p._asdict() for p in result.exact], "ngram": [p._asdict() for p in result.ngrams]}))
    else:
        out = console()
        out.print(
            f"{Path(train).name}: {len(sets[0])} problems; {Path(evaluation).name}: {len(sets[1])}", highlight=False
        )
        out.print(str(result), highlight=False, markup=False)
    sys.exit(1 if result.exact else 0)
