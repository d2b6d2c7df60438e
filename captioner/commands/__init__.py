"""One module a command: ``add`` names its options, ``run`` carries it out and returns the exit status."""
