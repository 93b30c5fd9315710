"""Rows whose published form is not one column a thing, brought to columns that `exprl.data` reads.

    gsm8k          `answer` holds the worked solution and, after `####`, the final answer     -> solution, answer
    gpqa           a question, its right answer and three wrong ones                          -> problem, answer (a letter)
    olympiadbench  a list of final answers, and a context that some questions need            -> problem, solution, answer
    starter_code   a statement, and code that the program must begin with                     -> the statement with both

Options of `gpqa` are ordered by a hash of the question, so that they stand in the same order in every run and on every
machine. A row of another form is left as it is, and the loader says what it lacks; nothing here puts text into an error.

    >>> gsm8k({"question": "3 + 4?", "answer": "3 + 4 = 7\\n#### 7"}, ColumnMap())["answer"]
    '7'
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Mapping

from exprl.config import ColumnMap

__all__ = ["SHAPES", "Cells", "Shape", "gpqa", "gsm8k", "olympiadbench", "starter_code"]

Cells = Mapping[str, object]
Shape = Callable[[Cells, ColumnMap], Cells]


def gsm8k(cells: Cells, columns: ColumnMap) -> Cells:
    """Split the answer column at its `####`."""
    solution, mark, answer = str(cells.get(columns.answer, "")).rpartition("####")
    if not mark:
        return cells
    return {**cells, columns.solution: solution.strip(), columns.answer: answer.strip().replace(",", "")}


def gpqa(cells: Cells, columns: ColumnMap) -> Cells:
    """Make one question with four lettered options."""
    names = ("Correct Answer", *(f"Incorrect Answer {i}" for i in (1, 2, 3)))
    texts = [cells.get(name) for name in ("Question", *names)]
    if not all(isinstance(text, str) for text in texts):
        return cells
    question, right, *wrong = (str(text).strip() for text in texts)
    options = [right, *wrong]
    random.Random(hashlib.sha256(question.encode()).digest()).shuffle(options)
    listed = "\n".join(f"{letter}. {' '.join(option.split())}" for letter, option in zip("ABCD", options, strict=True))
    return {
        columns.id: _digest(question) if (name := cells.get("Record ID")) is None else name,
        columns.problem: f"{question}\n\n{listed}",
        columns.solution: cells.get("Explanation"),
        columns.answer: "ABCD"[options.index(right)],
    }


def olympiadbench(cells: Cells, columns: ColumnMap) -> Cells:
    """Put the context before the question, and the answers into one text."""
    parts = [cells.get("context"), cells.get("question", cells.get(columns.problem))]
    told = [part.strip() for part in parts if isinstance(part, str) and part.strip()]
    return {
        **cells,
        columns.problem: "\n\n".join(told),
        columns.solution: _joined(cells.get("solution"), "\n\n"),
        columns.answer: _joined(cells.get("final_answer", cells.get(columns.answer)), ", "),
    }


def starter_code(cells: Cells, columns: ColumnMap) -> Cells:
    """Say after the statement what the program begins with, or that it reads standard input."""
    statement, code = cells.get(columns.problem), cells.get("starter_code")
    if not isinstance(statement, str):
        return cells
    if isinstance(code, str) and code.strip():
        said = f"Your program begins like this:\n\n```python\n{code.rstrip()}\n```"
    else:
        said = "Your program reads standard input and writes to standard output."
    return {**cells, columns.problem: f"{statement.rstrip()}\n\n{said}"}


SHAPES: Mapping[str, Shape] = {
    "gpqa": gpqa,
    "gsm8k": gsm8k,
    "olympiadbench": olympiadbench,
    "starter_code": starter_code,
}


def _joined(value: object, mark: str) -> object:
    return mark.join(map(str, value)) if isinstance(value, list) else value


def _digest(text: str) -> str:
    return f"gpqa-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
