"""Reads: a cassette, played by a real local server."""
