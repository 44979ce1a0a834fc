"""``python -m collapsebench``."""

from collapsebench.cli import main

if __name__ == "__main__":
    main()
