"""Data sets into manifests: ``python -m data --help``.

One file a data set, each with one function from a published layout to a :class:`data.join.Join`;
:mod:`data.join` pairs clips with captions and guards the splits, ``__main__`` is the command line.
Not part of the wheel: the package and these tools meet only in the manifest they write.
"""
