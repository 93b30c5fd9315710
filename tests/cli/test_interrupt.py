"""Ctrl-C ends a command with the shell's code for it and says what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from exprl.cli import main


def test_an_interrupted_command_says_what_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exprl.cli.settings.load_config", interrupted)
    with pytest.raises(SystemExit) as ended:
        main(["run", str(tmp_path / "c.toml")])
    assert ended.value.code == 130
    assert "interrupted; finished work is kept" in capsys.readouterr().err
