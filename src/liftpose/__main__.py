"""``python -m liftpose``: the same as the ``liftpose`` command."""

from __future__ import annotations

import sys

from liftpose.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
