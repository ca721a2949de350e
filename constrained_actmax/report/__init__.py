"""One page of HTML that stands alone: of a result, or of a comparison."""

from constrained_actmax.report.writing import write_report

__all__ = ["write_report"]
