from __future__ import annotations

from pathlib import Path

import pytest

from shim.config.flags import FLAGS
from shim.config.show import BEGIN, END, help_text, main, with_table

README = Path(__file__).parents[2] / "shim/config/README.md"


def test_help_names_every_flag_and_default() -> None:
    text = help_text()
    for flag in FLAGS.values():
        assert flag.usage in text
    assert "(default: 15mins)" in " ".join(text.split())


def test_the_table_is_written_between_the_markers() -> None:
    found = with_table(f"before\n{BEGIN}\n| stale |\n{END}\nafter\n")
    assert found.startswith(f"before\n{BEGIN}\n")
    assert found.endswith(f"{END}\nafter\n")
    assert "stale" not in found
    assert all(flag.usage.replace("|", "\\|") in found for flag in FLAGS.values())
    assert with_table(found) == found


def test_check_does_not_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "README.md"
    file.write_text(f"{BEGIN}\n{END}\n")
    assert main(["--check", str(file)]) == 1
    assert "run scripts/flags-table" in capsys.readouterr().err
    assert main([str(file)]) == 0
    assert main(["--check", str(file)]) == 0


def test_a_document_without_markers_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "README.md"
    file.write_text("nothing")
    assert main([str(file)]) == 2
    assert file.read_text() == "nothing"


@pytest.mark.skipif(not README.exists(), reason="no README here")
def test_the_readme_is_up_to_date() -> None:
    assert main(["--check", str(README)]) == 0
