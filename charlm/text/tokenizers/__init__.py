"""Tokenizers: text to ids and back, one file for each kind."""
