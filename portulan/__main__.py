"""The `portulan` command: answers `--version` itself, everything else is `portulan.cli`."""

import os
import sys


def main() -> None:
    """Run the command line; `--version` never pays for the command library."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from . import __version__

        print(f"portulan {__version__}")
        return
    # We multiply no matrices: a thread pool for that would only cost start-up time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import signal

    try:
        from .cli import main as run

        run()
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    finally:
        # The result is out. Threads need a moment to end, and Ctrl-C then shows a traceback.
        signal.signal(signal.SIGINT, signal.SIG_IGN)


if __name__ == "__main__":
    main()
