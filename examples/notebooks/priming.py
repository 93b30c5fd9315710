"""A tiny priming run in the embedded world: sparse RL stays at zero, Outcome opens the problems, sparse RL amplifies them.

The problems, the judge and the credit are exprl's own. The policy is a table of eleven numbers, how often it does each
operation of the world right, so that the run takes seconds and needs no torch. `make demo` is the same with a
transformer and exprl's trainer.

    marimo edit examples/notebooks/priming.py         # or, as a script: python examples/notebooks/priming.py
"""

import marimo

app = marimo.App(width="medium")


@app.cell
def _():
    import asyncio
    import random
    import threading

    import marimo as mo
    import numpy as np

    import exprl
    from exprl.evaluate.coverage import Counts
    from exprl.worlds import load_problems
    from exprl.worlds.chain import OPERATIONS, apply, boxed, is_number, line, slip

    return (
        Counts,
        OPERATIONS,
        apply,
        asyncio,
        boxed,
        exprl,
        is_number,
        line,
        load_problems,
        mo,
        np,
        random,
        slip,
        threading,
    )


@app.cell
def _(load_problems, mo):
    hard = load_problems("world:chain/hard_train")[:24]
    mo.md(f"""
    # Priming

    A chain of seven or eight operations on a four-digit number. The policy sees this, and nothing of the reference:

    `{hard[0].text}`

    One wrong step makes the answer wrong. A policy that does each operation right one time in ten gets a chain of seven right
    once in ten million attempts: every sparse reward is 0.
    """)
    return (hard,)


@app.cell
def _(OPERATIONS, apply, boxed, is_number, line, np, slip):
    def sample(problem, logits, rng):
        """A trace, and for each operation of the world how often it was done right and how often wrong."""
        head, *steps = problem.text.split(") ")
        operations = [part.split(" ")[0] for part in steps]
        value, trace = int(head.split(" from ")[1].split(":")[0]), ""
        seen = np.zeros((2, len(OPERATIONS)))
        for number, operation in enumerate(operations, 1):
            place = OPERATIONS.index(operation)
            right = rng.random() < 1 / (1 + np.exp(-logits[place]))
            result = apply(value, operation) if is_number(apply(value, operation)) else value
            result = result if right else slip(result)
            trace += line(number, value, operation, result)
            seen[int(right), place] += 1
            value = result
        return trace + boxed(value), seen

    return (sample,)


@app.cell
def _(asyncio, exprl, threading):
    judge = exprl.MilestoneJudge()

    def scored(problem, traces):
        """The judge's score of each whole trace (in a thread: a notebook has a loop of its own)."""
        asked = [exprl.Submission(problem, str(n), text, (len(text),), "outcome") for n, text in enumerate(traces)]
        found = []
        thread = threading.Thread(target=lambda: found.extend(asyncio.run(judge.score(asked))))
        thread.start()
        thread.join()
        return [verdicts[0].score for verdicts in found]

    def graded(problem, traces):
        """1 where the final answer is right."""
        return [float(text.endswith(f"\\boxed{{{ANSWERS[problem.id]}}}")) for text in traces]

    ANSWERS: dict[str, str] = {}
    return ANSWERS, graded, scored


@app.cell
def _(OPERATIONS, exprl, graded, hard, np, random, sample, scored):
    def train(reward, logits, steps, seed, rate=2.0, group=12, problems=6):
        """Policy-gradient steps on groups of attempts, by exprl's group-relative outcome credit."""
        rng = random.Random(seed)
        logits = logits.copy()
        for _ in range(steps):
            gradient = np.zeros(len(OPERATIONS))
            for problem in rng.sample(hard, problems):
                attempts = [sample(problem, logits, rng) for _ in range(group)]
                rewards = reward(problem, [text for text, _ in attempts])
                credit = exprl.outcome_advantages(rewards, [0] * group, truncated_R=[False] * group)
                chance = 1 / (1 + np.exp(-logits))
                for advantage, (_, (wrong, right)) in zip(credit, attempts, strict=True):
                    gradient += advantage * (right * (1 - chance) - wrong * chance)
            logits += rate * gradient / (group * problems)
        return logits

    def coverage(logits, seed=99, n=16):
        """How many of n attempts at each problem are right."""
        rng = random.Random(seed)
        return [int(sum(graded(problem, [sample(problem, logits, rng)[0] for _ in range(n)]))) for problem in hard]

    start = np.full(len(OPERATIONS), np.log(0.1 / 0.9))
    return coverage, start, train


@app.cell
def _(ANSWERS, apply, coverage, graded, hard, scored, start, train):
    # The evaluator's side: the answers are computed here from the problems' own text, as the world does.
    for problem in hard:
        _head, *_steps = problem.text.split(") ")
        _value = int(_head.split(" from ")[1].split(":")[0])
        for _part in _steps:
            _value = apply(_value, _part.split(" ")[0])
        ANSWERS[problem.id] = str(_value)

    sparse = train(graded, start, 80, seed=1)
    outcome = train(scored, start, 60, seed=1)
    amplified = train(graded, outcome, 20, seed=2)
    arms = {
        "base": coverage(start),
        "sparse, 80 steps": coverage(sparse),
        "outcome (Stage I), 60 steps": coverage(outcome),
        "then sparse (Stage II), 20 steps": coverage(amplified),
    }
    return (arms,)


@app.cell
def _(Counts, arms, exprl, mo):
    measured = {name: exprl.coverage(Counts.of([16] * len(right), right), ks=[1, 16]) for name, right in arms.items()}

    def cells(found):
        return " | ".join(f"{c.value:.2f} [{c.low:.2f}, {c.high:.2f}]" for c in (found.at(1), found.at(16)))

    rows = "\n".join(f"| {name} | {cells(found)} |" for name, found in measured.items())
    mo.md(f"## What each arm reaches\n\n| arm | pass@1 | pass@16 |\n|---|---|---|\n{rows}")
    return (measured,)


@app.cell
def _(measured):
    values = [(found.at(1).value, found.at(16).value) for found in measured.values()]
    print("priming:", [(round(float(one), 2), round(float(many), 2)) for one, many in values])
    assert values[0][1] == values[1][1] == 0.0, "sparse RL has nothing to amplify"
    assert values[2][1] > 0.5, "Outcome opens the problems"
    assert values[3][0] > values[2][0], "sparse RL amplifies what is covered"
    return


if __name__ == "__main__":
    app.run()
