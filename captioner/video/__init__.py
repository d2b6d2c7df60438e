"""A file that may be anything becomes frames: opened safely, sampled by timestamp, upright, in shots or parts."""
