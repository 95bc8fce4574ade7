"""Builds that stop before one of their cases is written."""


def stop_after(monkeypatch, writer, n_cases, error=KeyboardInterrupt):
    """Let a writer fail, as by a power cut, before case number `n_cases` is written.

    Args:
        monkeypatch: pytest's.
        writer: class whose `add` writes a case.
        n_cases: written before.
        error: what is raised.

    Returns:
        Function that lets it write again.
    """
    add, left = writer.add, iter(range(n_cases))

    def fail(*arguments):
        if next(left, None) is None:
            raise error
        return add(*arguments)

    monkeypatch.setattr(writer, "add", fail)
    return lambda: monkeypatch.setattr(writer, "add", add)
