"""How a policy reasons, beside the base: nine behaviours and twelve archetypes, annotated and compared.

taxonomy    what is looked for, as data
lexical     an annotator that needs no model; `llm` (with `prompt`) one that asks one
annotate    annotations.jsonl: append-only, resumable
measure     gained, lost, net; shares; the variety of archetypes; `agreement` of two annotators
sources     a run directory or plain sample files; `behave` and `result` put it all together
"""

from exprl.evaluate.behave.behave import Annotator, Plan, Work, behave, work
from exprl.evaluate.behave.result import Compared, Report
from exprl.evaluate.behave.sources import Choice, Found, of_files, of_run

__all__ = ["Annotator", "Choice", "Compared", "Found", "Plan", "Report", "Work", "behave", "of_files", "of_run", "work"]
