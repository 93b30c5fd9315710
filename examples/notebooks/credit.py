"""A judge on the prefixes of a trace, and what each kind of credit makes of its scores.

marimo edit examples/notebooks/credit.py          # or, as a script: python examples/notebooks/credit.py
"""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo
    import numpy as np

    import exprl

    return exprl, mo, np


@app.cell
def _(mo):
    mo.md("""
    # Judge and credit

    The judge alone sees the hidden reference. It scores every prefix of a trace: how much of the reference has been
    *derived* so far? Change the trace and see. Here it is the milestone judge, which needs no model.
    """)
    return


@app.cell
def _(exprl):
    question = "A shop has 4 trays of 6 cups and 3 more. It sells 5. How many are left?"
    reference = exprl.Reference(solution="4*6=24\n24+3=27\n27-5=22", answer="22")
    return question, reference


@app.cell
def _(mo):
    start = "Trays: 4*6=24 ###\nWith the others 24+3=27 ###\nMaybe 27+5=32? No. ###\nSold: 27-5=22 ###\n\\boxed{22}"
    trace = mo.ui.text_area(value=start, rows=6, full_width=True, label="trace, cut after every ###")
    trace
    return (trace,)


@app.cell
def _(exprl, mo, question, reference, trace):
    scored = exprl.score(trace.value, reference, question=question)

    def piece(step):
        return scored.text[step.step.start : step.step.end].strip().replace("|", "\\|").replace("\n", " ")

    def shown(number):
        return "none" if number is None else f"{number:+.2f}"

    rows = "\n".join(f"| `{piece(s)}` | {shown(s.score)} | {shown(s.credit)} |" for s in scored.steps)
    mo.md(
        f"## Step by step\n\noutcome **{scored.outcome}**, by {scored.decided_by}\n\n"
        f"| segment | score of the prefix | DeltaNorm credit |\n|---|---|---|\n{rows}"
    )
    return (scored,)


@app.cell
def _(exprl, mo, np, scored):
    scores = np.array([[step.score for step in scored.steps]])
    count = [scores.shape[1]]
    kinds = ("delta_norm", "end_norm", "group_norm")
    credits = {
        kind: exprl.process_advantages(scores, count, [0], truncated_R=[False], credit=kind)[0] for kind in kinds
    }
    lines = "\n".join(
        f"| `{kind}` | " + " | ".join(f"{a:+.2f}" for a in row) + f" | {row.sum():+.2f} |"
        for kind, row in credits.items()
    )
    head = "| credit | " + " | ".join(str(n + 1) for n in range(count[0])) + " | sum |"
    mo.md(
        f"## Three kinds of credit\n\n{head}\n|---|{'---|' * (count[0] + 1)}\n{lines}\n\nDeltaNorm sums to zero in every "
        "rollout: it tells steps apart and never rollouts. The other two do not."
    )
    return (credits,)


@app.cell
def _(credits, scored):
    assert abs(credits["delta_norm"].sum()) < 1e-9
    print("credit:", [step.score for step in scored.steps], [round(step.credit, 2) for step in scored.steps])
    return


if __name__ == "__main__":
    app.run()
