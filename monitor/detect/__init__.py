"""Series to scored evidence: residuals, scales, nulls, charts, hard facts."""
