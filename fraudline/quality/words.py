"""Numbers of reports in words: shares as percentages, counts with thousands, amounts with two decimals."""

from typing import Any, Literal

Unit = Literal["count", "share", "hours", "days", "amount", "ratio", ""]


def in_words(value: float | str | None, unit: Unit = "") -> str:
    """A value for people.

    >>> in_words(0.0512, "share"), in_words(12345, "count"), in_words(None), in_words(2.5, "ratio")
    ('5.12%', '12,345', 'not measured', '2.5 times')
    >>> in_words(6870.3, "hours"), in_words(1.0, "days")
    ('6,870 hours', '1 day')
    """
    if value is None or isinstance(value, str):
        return value or "not measured"
    match unit:
        case "share":
            return f"{100 * value:.3g}%"
        case "count":
            return f"{value:,.0f}"
        case "amount":
            return f"{value:,.2f}"
        case "ratio":
            return f"{_short(value)} times"
        case "hours" | "days":
            return f"{_short(value)} {unit.removesuffix('s') if value == 1 else unit}"
    return f"{value:,.6g}"


def _short(value: float) -> str:
    """Three figures, or all of a whole number that has more: nobody reads 6.87e+03."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def expected_words(kwargs: dict[str, Any], unit: Unit = "") -> str:
    """What an expectation expects, made of its own bounds.

    >>> expected_words({"column": "label_rate", "max_value": 0.3}, "share")
    'at most 30%'
    """
    low, high = kwargs.get("min_value"), kwargs.get("max_value")
    if low is not None and high is not None:
        words = f"{in_words(low, unit)} to {in_words(high, unit)}"
    elif low is not None or high is not None:
        words = f"at least {in_words(low, unit)}" if low is not None else f"at most {in_words(high, unit)}"
    elif "value_set" in kwargs:
        words = ", ".join(str(value) for value in kwargs["value_set"])
    else:
        words = str(kwargs["regex"]) if "regex" in kwargs else "no exception"
    return words + (f" in {100 * kwargs['mostly']:g}% of rows" if "mostly" in kwargs else "")
