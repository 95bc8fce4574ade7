"""Choices of a setting, and one more for the length of a test."""

from dataclasses import fields
from typing import Literal

from bratsprep.settings import choices


def allow(monkeypatch, kind, name, word):
    """Let a field of a config take one more word."""
    (member,) = [member for member in fields(kind) if member.name == name]
    monkeypatch.setattr(member, "type", Literal[(*choices(member.type), word)])


def words(kind, name):
    """List the words that a field of a config takes."""
    (member,) = [member for member in fields(kind) if member.name == name]
    return choices(member.type)
