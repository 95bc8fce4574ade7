"""Rows of text as a table in Markdown."""


def grid(head: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    """A table and an empty line after it; nothing without rows."""
    if not rows:
        return []
    filled = [[*row, *[""] * (len(head) - len(row))] for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *filled)] + [""]
