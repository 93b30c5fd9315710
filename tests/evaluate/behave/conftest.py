"""Puts the judge's tests on the path, for their fake server (`chat_server`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "judge"))
