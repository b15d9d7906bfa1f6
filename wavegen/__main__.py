"""`python -m wavegen` is the same program as `wavegen`."""

from wavegen.cli.app import main

if __name__ == "__main__":
    main()
