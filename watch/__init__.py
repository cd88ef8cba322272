"""Watching a deck at work: its numbers in the text format of Prometheus, and who may ask for them.

Recorder and mock server both stand on it; it knows of neither.
"""
