"""One file per family of encoder and decoder, found by its name."""
