"""charlm: character language models for the shell.

Importing the package costs nothing: no NumPy, no torch. The rooms are `text`, `inference`, `nn`,
`training`, `reports` and `cli`; `config`, `records` and `errors` stand below them all.
"""

__version__ = "0.1.0"
