"""Launchers: each only starts ``collapsebench job DIR`` and sees to it that it ends."""
