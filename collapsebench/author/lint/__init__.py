"""Collapse, or a bug? In goes a quantizer, out comes which of its wires are loose."""
