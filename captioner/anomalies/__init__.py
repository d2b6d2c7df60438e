"""Detection of anomalies: what normal footage does not have, and when."""
