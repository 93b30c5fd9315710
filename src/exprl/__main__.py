"""`python -m exprl`: the command line, for an interpreter whose scripts are not on the path."""

from exprl.cli import main

if __name__ == "__main__":
    main()
