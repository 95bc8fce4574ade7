"""Raw files read the slow and plain way."""

import gzip
import zlib

import pytest

from bratsprep.errors import NiftiError
from bratsprep.verification.recompute import read_nifti, unpacked

HEAD, TAIL = b"a" * 1000, b"b" * 500


@pytest.mark.parametrize(
    ("parts", "plain"),
    [
        ([HEAD], HEAD),
        ([b""], b""),
        ([HEAD, TAIL], HEAD + TAIL),
        ([HEAD, b""], HEAD),
    ],
)
def test_gzip_of_one_member_or_more_is_unpacked_whole(parts, plain):
    assert unpacked(b"".join(map(gzip.compress, parts))) == plain


@pytest.mark.parametrize(("cut", "more"), [(9, b""), (8, bytes(8))])
def test_gzip_that_is_cut_or_changed_is_refused(cut, more):
    broken = gzip.compress(HEAD)[:-cut] + more
    with pytest.raises(NiftiError, match=r"x\.nii\.gz: cannot be unpacked"):
        read_nifti("x.nii.gz", broken)


def test_bytes_behind_a_gzip_file_are_refused():
    packed = gzip.compress(HEAD) + b"more"
    assert zlib.decompress(packed, 31) == HEAD  # which says nothing of them
    with pytest.raises(NiftiError, match="cannot be unpacked"):
        read_nifti("x.nii.gz", packed)
