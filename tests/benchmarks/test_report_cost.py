"""What a report costs beyond its evaluation."""

from benchmarks.report_cost import KEPT, PAGE, VIEWS, table


def test_the_ratio_is_that_of_the_whole_to_what_an_evaluation_does():
    made = [
        {KEPT: 1.0, VIEWS: 0.5, PAGE: 0.5, "all": 12.0},
        {KEPT: 1.0, VIEWS: 0.5, PAGE: 0.5, "all": 22.0},
        {KEPT: 0.0, VIEWS: 0.0, PAGE: 0.0, "all": 8.0},
    ]
    lines = table(made)
    assert f"| {KEPT} | 1.00 |" in lines
    assert "| **report to evaluate** | 1.100 (1.000 to 1.200) |" in lines
