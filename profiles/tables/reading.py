"""Tables of the user in CSV and Parquet files."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pa_parquet

from stackelgrid.profiles.errors import ProfileError
from stackelgrid.profiles.size_limits import FILE_BYTES, FILE_CELLS
from stackelgrid.profiles.tables.dialect import Dialect, find_separator, with_decimal_points

TEXTS = (".csv", ".tsv", ".txt")
PARQUET = ".parquet"
ENDINGS = (*TEXTS, PARQUET)
_ENDINGS = f"{', '.join(TEXTS)} or {PARQUET}"


@dataclass(frozen=True)
class Table:
    """A table as it was read; cells of text files stay text, so that errors can quote them."""

    frame: pd.DataFrame
    dialect: Dialect


def read_columns(path: Path) -> pd.DataFrame:
    """Return the columns of a file; raises ProfileError as `read_table` does."""
    return read_table(path).frame


def read_table(path: Path) -> Table:
    """Read a whole CSV or Parquet file.

    Separator and decimal sign of a text file are found in its header and cells; its numbers get
    decimal points. Raises ProfileError for a missing, unreadable or other file, one without columns
    and one with a column twice, and where separator or decimal sign are ambiguous.
    """
    ending = path.suffix.lower()
    if ending not in ENDINGS:
        raise ProfileError(f"{path}: ending is {ending!r}; {_ENDINGS} is accepted")
    dialect = Dialect()
    try:
        if not path.is_file():
            raise ProfileError(f"{path}: no such file; an existing {_ENDINGS} is accepted")
        _check_size(path, ending)
        if ending == PARQUET:
            arrow = pa_parquet.read_table(path)
        else:
            arrow, dialect = _read_texts(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ProfileError(
            f"{path}: unreadable ({reason}); a UTF-8 table with commas, semicolons or tabs between "
            "columns or a Parquet file is accepted"
        ) from error
    names = list(arrow.column_names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ProfileError(f"{path}: column {twice[0]} occurs twice; distinct names are accepted")
    if not names:
        raise ProfileError(f"{path}: has no columns; a table is accepted")
    frame: pd.DataFrame = arrow.to_pandas()
    frame.columns = pd.Index([str(name) for name in frame.columns])
    return Table(frame, dialect)


def _read_texts(path: Path) -> tuple[pa.Table, Dialect]:
    separator = find_separator(path)
    parse = pa_csv.ParseOptions(delimiter=separator)
    header = pa_csv.open_csv(path, parse_options=parse).schema.names
    as_text = pa_csv.ConvertOptions(column_types={name: pa.string() for name in header})
    arrow = pa_csv.read_csv(path, parse_options=parse, convert_options=as_text)
    arrow = arrow.rename_columns([name.strip() for name in header])
    arrow, decimal = with_decimal_points(path, arrow, separator)
    return arrow, Dialect(separator, decimal)


def _check_size(path: Path, ending: str) -> None:
    """Raise ProfileError for a file whose table would take too much memory."""
    size = path.stat().st_size
    if size > FILE_BYTES:
        raise ProfileError(
            f"{path}: has {size:,} bytes; at most {FILE_BYTES:,} are accepted (leave out columns "
            "and times that are not used)"
        )
    if ending == PARQUET:
        held = pa_parquet.read_metadata(path)
        if held.num_rows * held.num_columns > FILE_CELLS:
            raise ProfileError(
                f"{path}: holds {held.num_rows:,} rows x {held.num_columns:,} columns = "
                f"{held.num_rows * held.num_columns:,} values; at most {FILE_CELLS:,} are accepted"
            )
