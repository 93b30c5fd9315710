"""exprl: prime a language model on problems it cannot yet solve, with hidden references as rubrics."""
