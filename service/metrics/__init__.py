"""What is measured: `catalogue` declares every metric, of both processes."""

from service.metrics.catalogue import Metrics

__all__ = ["Metrics"]
