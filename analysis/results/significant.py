"""Number formatting with significant digits, without powers of ten."""

import numpy as np


def significant(value: float, digits: int) -> str:
    """Format a number with significant digits; digits before the decimal point are all kept."""
    if value == 0.0 or not np.isfinite(value):
        return f"{value:g}"
    places = max(0, digits - 1 - int(np.floor(np.log10(abs(value)))))
    text = f"{value:,.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
