"""`python -m binsight`: the command line."""

from binsight.cli import main

if __name__ == "__main__":
    main()
