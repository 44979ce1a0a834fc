"""Performance: each file has ``rows()``; run on an idle machine by ``make bench``."""
