"""The languages spoken on the wire, as pure state machines and tables."""
