"""Reports: one self-contained HTML page for each directory of results."""

from stackelgrid.analysis.report.page import (
    Chart,
    Choice,
    Page,
    ReportTable,
    Section,
    Verdict,
    render,
    write_report,
)

__all__ = ["Chart", "Choice", "Page", "ReportTable", "Section", "Verdict", "render", "write_report"]
