"""Is the judge any good? Calibration on labelled answers and step-labelled traces, and the card that says so.

    labelled, steps   rows from files: answers with labels, traces with step labels
    conditions        correct, no and wrong reference
    material, asking  what is asked, and the verdicts, resumable
    bootstrap, ranks  intervals, AUROC, Spearman
    measure, process, continuations  the measures (pure)
    card, words, page judge-card.json, in words, as HTML
    run               all of it: `calibrate`

Importing `exprl.judge` does not import this.

    card = calibrate(config, Calibration(data=Path("labelled.jsonl"), out=Path("calibration")))
"""

from exprl.judge.calibrate.card import CARD_NAME, JudgeCard, read_card, update_card, write_card
from exprl.judge.calibrate.material import Calibration
from exprl.judge.calibrate.run import calibrate, planned

__all__ = ["CARD_NAME", "Calibration", "JudgeCard", "calibrate", "planned", "read_card", "update_card", "write_card"]
