import errno
import os
from dataclasses import replace

import numpy as np
import pytest

import bratsprep
from bratsprep.building.convert import Frame, cut, pack
from bratsprep.building.journal import Journal
from bratsprep.building.source_stamps import Stamp
from bratsprep.config import PrepConfig
from bratsprep.discovery.discover import scan
from bratsprep.discovery.subject_tables import table_for
from bratsprep.errors import BuildError
from bratsprep.labels import scheme
from bratsprep.slicefile.chunks import Pages
from bratsprep.slicefile.digest import case_digest
from bratsprep.slicefile.writer import LEAST_EXTENT
from bratsprep.sources.source import open_source
from bratsprep.system.memory import Buffers
from bratsprep.volumes.case_volumes import read_scan
from tests.helpers.class_sets import ASKED


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    raw = bratsprep.phantoms(
        tmp_path_factory.mktemp("raw") / "msd", cases=1, shape=(44, 50, 20), workers=1
    )
    with open_source(raw) as source:
        files = scan(source).cases[0]
        case = read_scan(files, source, Buffers(), scheme("msd"), ASKED)
        part = cut(case, Frame(PrepConfig(), (48, 40), table_for("names")), Buffers())
        return pack(part, "fast", Pages())


STAMPS = (Stamp("a.nii", 12, 34, 56), Stamp("b.nii", 7, 0, 0, 99))


def every(made):
    return (*made.chunks.images(), *made.chunks.labels())


def begun(out, made):
    """A journal with one case whose chunks lie in the first partial file."""
    journal = Journal(out)
    partial = journal.begin("key")
    data = b"".join(chunk for chunk in every(made) if len(chunk) >= LEAST_EXTENT)
    assert 4000 < len(data) < len(made.chunks.data)
    partial.write_bytes(b"gap" + data[:3000] + b"another" + data[3000:])
    journal.add(partial, made, STAMPS, [(3, 3000), (3010, len(data) - 3000)])
    journal.__exit__()
    return partial


def test_rows_come_back_as_they_were(made, tmp_path):
    begun(tmp_path / "out.h5", made)
    with Journal(tmp_path / "out.h5") as journal:
        entry = journal.entries[0]
        assert journal.key == "key"
    assert entry.stamps == STAMPS
    assert case_digest(entry.tables) == case_digest(made.tables) == entry.tables.case["digest"]
    for name in entry.tables.case.dtype.names:
        np.testing.assert_array_equal(entry.tables.case[name], made.tables.case[name])
    for restored, written in (
        (entry.tables.slices, made.tables.slices),
        (entry.tables.planes, made.tables.planes),
    ):
        assert restored.dtype == written.dtype
        np.testing.assert_array_equal(restored, written)


def test_chunks_come_back_as_they_were(made, tmp_path):
    begun(tmp_path / "out.h5", made)
    with Journal(tmp_path / "out.h5") as journal:
        chunks = journal.restore(journal.entries[0], Pages())
    assert chunks.data == made.chunks.data
    assert chunks.sizes.tolist() == made.chunks.sizes.tolist()
    assert chunks.crc == made.chunks.crc


def test_a_changed_chunk_does_not_come_back(made, tmp_path):
    partial = begun(tmp_path / "out.h5", made)
    content = bytearray(partial.read_bytes())
    content[100] ^= 1
    partial.write_bytes(content)
    with Journal(tmp_path / "out.h5") as journal:
        assert journal.restore(journal.entries[0], Pages()) is None


def test_chunks_that_a_place_cuts_short_do_not_come_back(made, tmp_path):
    partial = begun(tmp_path / "out.h5", made)
    os.truncate(partial, partial.stat().st_size - 1)
    pages = Pages()
    memory = pages.take(10**6)
    pages.give_back(replace(made.chunks, data=memoryview(memory)))
    with Journal(tmp_path / "out.h5") as journal:
        assert journal.restore(journal.entries[0], pages) is None
    assert pages.take(1) is memory


@pytest.mark.parametrize("wrong", [[(3, 3000)], [(3, 3000), (3010, 10**6)], []])
def test_other_places_than_the_chunks_give_nothing(made, tmp_path, wrong):
    begun(tmp_path / "out.h5", made)
    with Journal(tmp_path / "out.h5") as journal:
        entry = replace(journal.entries[0], extents=tuple(wrong))
        assert journal.restore(entry, Pages()) is None


def test_the_next_file_has_the_other_name(made, tmp_path):
    partial = begun(tmp_path / "out.h5", made)
    with Journal(tmp_path / "out.h5") as journal:
        assert journal.begin("key") != partial
        assert journal.begin("key") in journal.partials()


def test_without_its_file_an_entry_is_forgotten(made, tmp_path):
    begun(tmp_path / "out.h5", made).unlink()
    with Journal(tmp_path / "out.h5") as journal:
        assert journal.entries == []


@pytest.mark.parametrize("cut", [1, 9, 300])
def test_a_line_cut_short_is_forgotten(made, tmp_path, cut):
    begun(tmp_path / "out.h5", made)
    path = tmp_path / "out.h5.journal"
    os.truncate(path, path.stat().st_size - cut)
    with Journal(tmp_path / "out.h5") as journal:
        assert journal.entries == []
        assert journal.key == "key"


def test_a_second_process_is_refused(tmp_path):
    with (
        Journal(tmp_path / "out.h5"),
        pytest.raises(BuildError, match=r"out\.h5: is being written by another process"),
    ):
        Journal(tmp_path / "out.h5")


def test_a_file_system_without_locks_is_named_as_such(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("bratsprep.system.unix.fcntl.flock", refuse)
    with pytest.raises(BuildError, match=r"journal: cannot be locked: .*Lustre: -o flock"):
        Journal(tmp_path / "out.h5")


def test_the_lock_goes_with_the_journal(tmp_path):
    with Journal(tmp_path / "out.h5"):
        pass
    with Journal(tmp_path / "out.h5"):
        pass


def test_an_output_that_cannot_be_renamed_is_an_error(tmp_path):
    with Journal(tmp_path / "out.h5") as journal:
        (tmp_path / "out.h5" / "full").mkdir(parents=True)
        partial = journal.begin("key")
        partial.write_bytes(b"x")
        with pytest.raises(BuildError, match=r"out\.h5: cannot be written"):
            journal.finish(partial)
