"""Detection of anomalies in footage, and when they happen."""
