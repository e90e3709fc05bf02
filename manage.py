#!/usr/bin/env python
"""Loom's command line."""

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "loomweb.settings")
    from django.core.management import execute_from_command_line

    from loomweb.config import ConfigError

    try:
        execute_from_command_line(sys.argv)
    except ConfigError as error:
        sys.exit(f"loom: {error}")


if __name__ == "__main__":
    main()
