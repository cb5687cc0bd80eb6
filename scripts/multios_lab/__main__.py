# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs the package from its folder: the command line, or `broker` in the folder of a lab."""

import os
import sys


def main() -> int:
    """Imports only what the command needs: the suites run thousands of them."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if sys.argv[1:] == ["broker"]:
        from multios_lab import broker  # pylint: disable=import-outside-toplevel

        return broker.main()
    from multios_lab import cli  # pylint: disable=import-outside-toplevel

    return cli.main(sys.argv[1:])


try:
    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
