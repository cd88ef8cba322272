"""A cassette deck for market data: record a bot's conversation with its provider, play it back byte for byte."""
