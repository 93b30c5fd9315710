"""Coverage: what pass@k says, how sure one can be of it, and when search pays or only priming does.

marimo edit examples/notebooks/coverage.py        # or, as a script: python examples/notebooks/coverage.py
"""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import marimo as mo
    import numpy as np

    import exprl
    from exprl.evaluate.coverage import Counts

    return Counts, exprl, mo, np


@app.cell
def _(mo):
    mo.md("""
    # Coverage

    **pass@k** is the chance that at least one of k samples is right: what a policy *can* do. **pass@1** is what it does.
    Below are two made-up policies on 60 problems, 64 samples each, with the same pass@1.
    """)
    return


@app.cell
def _(np):
    rng = np.random.default_rng(0)
    everywhere = rng.binomial(64, 0.10, size=60)  # every problem right one time in ten
    nowhere = np.where(np.arange(60) < 6, 64, 0)  # six problems always right, the others never
    policies = {"seldom right, everywhere": everywhere, "always right, on few": nowhere}
    return (policies,)


@app.cell
def _(Counts, exprl, mo, policies):
    ks = [1, 4, 16, 64]

    def row(name, right):
        measured = exprl.coverage(Counts.of([64] * len(right), right.tolist()), ks=ks)
        cells = [measured.at(k) for k in ks]
        return f"| {name} | " + " | ".join(f"{c.value:.2f} [{c.low:.2f}, {c.high:.2f}]" for c in cells) + " |"

    table = "\n".join(
        ["| policy | " + " | ".join(f"pass@{k}" for k in ks) + " |", "|---|" + "---|" * len(ks)]
        + [row(name, right) for name, right in policies.items()]
    )
    mo.md(f"## The same pass@1, another coverage\n\n{table}\n\nIntervals are bootstrap over problems (95 %).")
    return


@app.cell
def _(Counts, exprl, mo, policies):
    advice = {name: exprl.advise(Counts.of([64] * len(right), right.tolist())) for name, right in policies.items()}
    lines = "\n".join(f"- *{name}*: **{said.next}**. {said.text}" for name, said in advice.items())
    mo.md(f"## What to do next\n\n{lines}")
    return (advice,)


@app.cell
def _(mo):
    samples = mo.ui.slider(1, 256, value=64, label="samples of a problem, none of them right")
    samples
    return (samples,)


@app.cell
def _(mo, samples):
    bound = 1 - 0.05 ** (1 / samples.value)
    mo.md(
        f"## 0 of {samples.value} is not 0\n\nA problem that {samples.value} samples missed may still be solved "
        f"at a rate of up to **{bound:.1%}** (95 %, one-sided). So intervals do not shrink to a point where nothing was solved."
    )
    return


@app.cell
def _(advice):
    answers = [said.next for said in advice.values()]
    assert answers[0] == "search", answers
    assert answers[1] != "search", answers
    print("coverage:", answers)
    return


if __name__ == "__main__":
    app.run()
