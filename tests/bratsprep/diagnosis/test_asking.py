"""Questions to another Python process."""

import sys

import pytest

from bratsprep.diagnosis.asking import ask


@pytest.mark.parametrize(
    ("code", "text", "fault"),
    [
        ("import sys; print('noise'); print(sys.argv[1])", "word", ""),
        ("raise ValueError('no')", None, "ValueError: no"),
        ("import os; os._exit(3)", None, "it ended with code 3"),
        ("pass", None, "it ended with code 0"),
    ],
    ids=["answer", "error", "death", "silence"],
)
def test_answers(code, text, fault):
    answer = ask(code, "word")
    assert (answer.text, answer.fault) == (text, fault)


def test_process_that_hangs_is_given_up():
    assert "no answer" in ask("import time; time.sleep(60)", seconds=0.2).fault


def test_python_that_cannot_be_started_is_a_fault(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/such/python")
    assert "cannot be started" in ask("pass").fault
