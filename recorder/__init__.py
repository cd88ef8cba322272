"""Writes: what a bot and its provider say to each other goes onto a cassette."""
