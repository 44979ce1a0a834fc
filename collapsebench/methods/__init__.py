"""One file per method, found by its name; no method imports another."""
