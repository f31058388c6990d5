"""The entry point of `python -m charlm`, the same program as the `charlm` command."""

from charlm.cli.main import main

if __name__ == "__main__":
    main()
