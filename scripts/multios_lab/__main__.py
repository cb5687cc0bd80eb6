# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the package from its folder: the command line, or `broker` in the folder of a lab."""

import sys


def main() -> int:
    """Imports only what the command needs: a short one is over before the rest is loaded."""
    # pylint: disable=import-outside-toplevel
    import os
    import signal

    # Until there is something to clean up (interrupt.install) a signal ends the process at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if sys.argv[1:] == ["broker"]:
        from multios_lab import broker

        return broker.main()
    from multios_lab import cli

    return cli.main(sys.argv[1:])


try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
