"""``python -m majorant.cli``: the command line where no script is installed."""

from majorant.cli import main

main()
