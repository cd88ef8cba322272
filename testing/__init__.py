"""What a test needs of a deck: which cassette it means, a market around it, a verdict, and tapes made by hand."""
