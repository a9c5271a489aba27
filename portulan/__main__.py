"""The `portulan` command: answers `--version` itself, everything else is `portulan.cli`."""

import sys


def main() -> None:
    """Run the command line; `--version` never pays for the command library."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from . import __version__

        print(f"portulan {__version__}")
        return
    from .cli import main as run

    run()


if __name__ == "__main__":
    main()
