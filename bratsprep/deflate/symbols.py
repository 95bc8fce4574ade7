"""What the symbols of deflate mean, and the one form of block that is written and read here.

Section numbers are those of RFC 1951.
"""

from typing import Final

import numpy as np

END: Final = 256
"""Symbol of a block's end; those below are bytes, those above match lengths."""
SYMBOLS: Final = 286
MOST: Final = 258
"""Bytes of the longest match."""
EXTRA: Final = np.array([0] * 8 + [bits for bits in range(1, 6) for _ in range(4)] + [0])
"""(29,) int64: extra bits of each symbol from 257 on (§3.2.5)."""
FIRST: Final = np.append(3 + np.concatenate([[0], np.cumsum(1 << EXTRA[:-2])]), MOST)
"""(29,) int64: first length of each symbol from 257 on."""
HEAD: Final = 4 + (29 << 3) + (1 << 8) + (15 << 13)
"""The first 26 bits of a block (§3.2.7) but the lowest, which says whether it is the last: codes of
its own, 286 and 2 of them, lengths of 19 codes, and three of these without bits."""
