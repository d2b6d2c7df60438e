"""An index of an archive: one SQLite file with the captions, words and vectors of clips, and the search in it."""
