"""The dataset of an ensemble's runs."""

import pandas as pd

from stackelgrid.analysis.ensemble.statistics import Dataset


def test_a_directory_is_no_pattern(tmp_path):
    """`a[1]` matches `a1`: another ensemble beside it is not read."""
    for name, value in (("a[1]", 1.0), ("a1", 2.0)):
        folder = tmp_path / name / "error_level=0.1/scheme=bottom_up/variant=plain/member=0"
        folder.mkdir(parents=True)
        for table in ("indicators", "interval"):
            pd.DataFrame({"value": [value]}).to_parquet(folder / f"{table}.parquet", index=False)
    for table in ("indicators", "interval"):
        rows = Dataset(tmp_path / "a[1]").query(f"SELECT value, scheme FROM {table}")
        assert rows.to_numpy().tolist() == [[1.0, "bottom_up"]]
