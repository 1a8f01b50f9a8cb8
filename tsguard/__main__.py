"""``python -m tsguard`` is the ``tsguard`` command."""

import sys

from tsguard._cli import main

sys.exit(main())
