"""The file: records, codec, chunks, index, write-ahead, reading, sealing, recovering; and redaction, the only door to the encoder."""
