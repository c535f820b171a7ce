"""The report: one self-contained HTML page."""

from refusal_steering.report.page import write_report

__all__ = ["write_report"]
