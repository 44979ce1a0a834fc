"""What the author of a method gets: in goes a method's file, out comes what it keeps and breaks.

``scaffold`` writes a first file, ``promises`` is the contract that every method is held to.
"""
