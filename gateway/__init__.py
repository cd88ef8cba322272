"""The way in for programs that cannot be told another address: a forward proxy, and certificates of a throw-away CA."""
