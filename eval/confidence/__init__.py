"""How reliable confidences are, and the calibration that makes them so."""
