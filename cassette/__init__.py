"""The file: records, codec, chunks, index, write-ahead, reading, sealing, recovering; and redaction.

Redaction is the only door to the encoder: nothing reaches a file that has not passed it.
"""
