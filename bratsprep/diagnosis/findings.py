"""What `doctor` finds: a line each, with the way on where something is missing."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

State = Literal["ok", "note", "missing", "fault"]
"""`note`: worth knowing; `missing`: something optional; `fault`: bratsprep cannot work."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    subject: str
    state: State
    text: str
    """What was found, for a person."""
    advice: str = ""
    """What to do; empty where there is nothing."""

    def lines(self, width: int) -> list[str]:
        """Format for a terminal.

        Args:
            width: characters of the longest subject.
        """
        first = f"{self.state:<8} {self.subject:<{width}}  {self.text}"
        return [first, *([f"{'':<8} {'':<{width}}  -> {self.advice}"] if self.advice else [])]


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """Everything that `doctor` found."""

    findings: tuple[Finding, ...]
    facts: dict[str, Any]
    """The numbers and names behind the findings, as JSON holds them."""

    @property
    def is_well(self) -> bool:
        """Whether nothing essential is missing."""
        return all(finding.state != "fault" for finding in self.findings)

    def lines(self) -> list[str]:
        """Format for a terminal; the last line is the verdict."""
        width = max(len(finding.subject) for finding in self.findings)
        lines = [line for finding in self.findings for line in finding.lines(width)]
        return [*lines, "", self.verdict()]

    def verdict(self) -> str:
        """Whether bratsprep can work here, in one line."""
        faults = [finding.subject for finding in self.findings if finding.state == "fault"]
        if faults:
            return f"essential and missing: {', '.join(faults)}"
        missing = [finding.subject for finding in self.findings if finding.state == "missing"]
        rest = f"; optional and missing: {', '.join(missing)}" if missing else ""
        return f"nothing essential is missing{rest}"

    def to_json(self) -> dict[str, Any]:
        """All of it, for a program or an issue."""
        return {
            "is_well": self.is_well,
            "facts": self.facts,
            "findings": [asdict(finding) for finding in self.findings],
        }
