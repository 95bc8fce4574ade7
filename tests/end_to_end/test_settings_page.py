"""The settings of the docs are those of the code."""

from tests.helpers.settings_page import PAGE, page


def test_settings_page_is_made_from_the_settings():
    assert PAGE.read_text() == page()


def test_settings_page_holds_a_row_for_each_setting_of_a_build():
    rows = [line for line in page().splitlines() if line.startswith("| `negatives`")]
    assert rows == [
        (
            "| `negatives` | `--negatives` | a number, 0 to 1 | `0` | Also store this share of the "
            "other brain planes, drawn from the seed and the case id. |"
        )
    ]
