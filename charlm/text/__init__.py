"""Text: corpora read in chunks, tokenizers, and ids on disk."""
