"""Benchmarks: `make bench`. Rates and ratios, with the answers asserted; figures go to docs/performance.md."""
