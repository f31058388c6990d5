"""Bytes to ids and back: corpora read in chunks, tokenizers, and the token cache."""
