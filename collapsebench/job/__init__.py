"""The child's side of the process boundary: in goes a job's folder, out come its rows and files.

``process`` is what a launcher starts, ``runner`` the life of a job stage by stage: read it first.
"""
