"""`python -m duravip` is `duravip`."""

from duravip.cli.main import main

if __name__ == "__main__":
    main()
