"""``python -m majorant``: the command line where no script is installed."""

from majorant.cli import main

if __name__ == "__main__":
    main()
