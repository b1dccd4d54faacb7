"""Reports: one self-contained HTML page for each directory of results."""

from stackelgrid.analysis.report.page import (
    Chart,
    Page,
    ReportTable,
    Section,
    Verdict,
    render,
    write_report,
)

__all__ = ["Chart", "Page", "ReportTable", "Section", "Verdict", "render", "write_report"]
