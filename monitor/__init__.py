"""Fleet monitor: telemetry in, one incident that names its cause out."""
