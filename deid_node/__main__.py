"""`python -m deid_node` is `deid-node`."""

from __future__ import annotations

import sys

from deid_node.cli import main

sys.exit(main())
