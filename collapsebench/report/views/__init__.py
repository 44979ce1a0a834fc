"""One file per table or figure; the file is found by being here.

Each has ``title``, ``section`` and ``place`` (its order on the page), and
``build(data) -> list[Table | Figure]``, empty where the grid has nothing of the kind.
"""
