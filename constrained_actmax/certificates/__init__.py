"""Proven bounds: linear bounds of a network over sets, and branch and bound over the input."""
