"""Typed fields out of a parsed model card, strictly: nothing missing, nothing unknown."""

import math
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from embedding.errors import ModelInvalid

T = TypeVar("T", int, str)

_SHA256 = re.compile(r"[0-9a-f]{64}")


class CardFields:
    """Takes the fields of one JSON object; ``finish`` refuses what was not taken."""

    def __init__(self, content: object, *, where: str) -> None:
        if not isinstance(content, dict):
            raise ModelInvalid(f"{where}: expected a JSON object")
        self._left: dict[str, Any] = dict(content)
        self._where = where

    def finish(self) -> None:
        """Refuse fields that nobody took."""
        if self._left:
            names = ", ".join(sorted(self._left))
            raise ModelInvalid(f"{self._where}: unknown fields: {names}")

    def _take(self, name: str) -> Any:  # noqa: ANN401 (any JSON value)
        if name not in self._left:
            raise ModelInvalid(f"{self._where}: the field {name!r} is missing")
        return self._left.pop(name)

    def _refuse(self, name: str, expected: str) -> ModelInvalid:
        return ModelInvalid(f"{self._where}: {name!r} must be {expected}")

    def choice(self, name: str, allowed: tuple[T, ...]) -> T:
        """A value that is one of those allowed, of the same type."""
        value = self._take(name)
        for candidate in allowed:
            if type(value) is type(candidate) and value == candidate:
                return candidate
        raise self._refuse(name, " or ".join(repr(a) for a in allowed))

    def text(self, name: str, *, max_length: int, may_be_empty: bool = False) -> str:
        """A string up to a length."""
        value = self._take(name)
        low = 0 if may_be_empty else 1
        if not isinstance(value, str) or not low <= len(value) <= max_length:
            raise self._refuse(name, f"text of {low} to {max_length} characters")
        return value

    def sha256(self, name: str) -> str:
        """64 lower-case hex digits."""
        value = self._take(name)
        if not isinstance(value, str) or not _SHA256.fullmatch(value):
            raise self._refuse(name, "64 lower-case hex digits")
        return value

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self._take(name)
        if not isinstance(value, bool):
            raise self._refuse(name, "true or false")
        return value

    def number(self, name: str, *, low: float = -math.inf, high: float = math.inf) -> float:
        """A finite number, low <= number <= high."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._refuse(name, "a number")
        if not math.isfinite(value) or not low <= value <= high:
            raise self._refuse(name, f"a finite number from {low:g} to {high:g}")
        return float(value)

    def count(self, name: str, *, low: int) -> int:
        """A whole number that is at least ``low``."""
        value = self._take(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise self._refuse(name, f"a whole number of at least {low}")
        return value

    def mapping(self, name: str) -> Mapping[str, Any]:
        """A JSON object of any content."""
        value = self._take(name)
        if not isinstance(value, dict):
            raise self._refuse(name, "a JSON object")
        return value

    def inner(self, name: str) -> "CardFields":
        """A nested object; its own ``finish`` must be called."""
        return CardFields(self._take(name), where=f"{self._where}: {name}")

    def inner_list(self, name: str) -> list["CardFields"]:
        """A list of nested objects."""
        value = self._take(name)
        if not isinstance(value, list):
            raise self._refuse(name, "a list")
        return [
            CardFields(item, where=f"{self._where}: {name}[{i}]") for i, item in enumerate(value)
        ]
