"""Recognition of actions: which of a fixed set of labels a clip shows, how sure, and when."""
