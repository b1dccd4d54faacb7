"""Readers of cells in a row of a pandapower table; empty cells in any of their forms."""

import numpy as np
import pandas as pd

from stackelgrid.profiles.arrays import Floats


def number(row: pd.Series, column: str) -> float:
    """Return the number in a cell, NaN where it is empty or the column is missing."""
    value = row.get(column)
    return float("nan") if value is None or pd.isna(value) else float(value)


def text(row: pd.Series, column: str) -> str:
    """Return the text in a cell, empty where there is none."""
    value = row.get(column)
    return value if isinstance(value, str) else ""


def flag(row: pd.Series, column: str) -> bool:
    """Return the truth value of a cell, False where it is empty or the column is missing."""
    value = row.get(column)
    return bool(value) if value is not None and not pd.isna(value) else False


def column_of(frame: pd.DataFrame, column: str, missing: float) -> Floats:
    """Return the numbers of a column, `missing` where the table does not have it."""
    if column not in frame:
        return np.full(len(frame), missing)
    values: Floats = frame[column].to_numpy(dtype=float)
    return values
