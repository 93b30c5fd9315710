"""Store: batches by one thread, several processes, and files that are damaged, full or not to be had."""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from exprl.judge.store.store import Store, Work


def _put(connection: sqlite3.Connection, rows: list[tuple[str, str]]) -> list[int]:
    connection.executemany("INSERT OR REPLACE INTO verdicts VALUES (?, ?)", rows)
    return [len(rows)] * len(rows)


def _get(connection: sqlite3.Connection, keys: list[str]) -> list[str | None]:
    found = [connection.execute("SELECT verdict FROM verdicts WHERE key = ?", (key,)).fetchone() for key in keys]
    return [row[0].decode() if row else None for row in found]


def _count(connection: sqlite3.Connection, asked: list[None]) -> list[int]:
    return [connection.execute("SELECT count(*) FROM verdicts").fetchone()[0]] * len(asked)


PUT: Work[tuple[str, str], int] = Work(_put, writes=True)
GET: Work[str, str | None] = Work(_get)
COUNT: Work[None, int] = Work(_count, in_turn=True)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "folder" / "judge.sqlite"
    yield path
    Store.open(path).close()


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def filled(path: Path, rows: int = 400) -> Store:
    store = Store.open(path)
    for i in range(rows):
        store.post(PUT, (f"{i:064}", "v" * 500))
    store.close()
    return store


def child(code: str, path: Path) -> str:
    source = str(Path(__file__).parents[3] / "src")
    environment = {**os.environ, "PYTHONPATH": f"{source}{os.pathsep}{Path(__file__).parent}"}
    command = [sys.executable, "-c", f"from test_store import *\nstore = Store.open(Path(sys.argv[1]))\n{code}", path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_same_path_is_the_same_store_with_one_thread(path: Path) -> None:
    (path.parent / "x").mkdir(parents=True)
    before = set(threading.enumerate())
    store = Store.open(path)
    assert Store.open(path.parent / "x" / ".." / path.name) is store
    threads = [threading.Thread(target=store.do_now, args=(PUT, (str(i), ""))) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [thread.name for thread in set(threading.enumerate()) - before] == ["exprl-judge-store"]
    assert store.do_now(COUNT, None) == 8


def test_the_file_is_for_its_owner_only(path: Path) -> None:
    store = Store.open(path)
    store.do_now(PUT, ("k", "v"))
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes.keys() >= {"judge.sqlite", "judge.sqlite-wal"}
    assert set(modes.values()) == {0o600}


async def test_work_that_gathers_shares_a_commit(path: Path) -> None:
    store = Store.open(path)
    sizes = await asyncio.gather(*(store.do(PUT, (str(i), "")) for i in range(300)))
    assert max(size or 0 for size in sizes) > 20
    assert await store.do(COUNT, None) == 300


def test_work_in_turn_sees_what_came_before_it_and_nothing_after(path: Path) -> None:
    store = Store.open(path)
    seen: list[int | None] = []
    for i in range(50):
        store.post(PUT, (str(i), ""))
        store.post(COUNT, None, seen.append)
    store.close()
    assert seen == list(range(1, 51))


def test_a_closed_store_holds_no_file_and_may_be_used_again(path: Path) -> None:
    store = filled(path)
    assert [file.name for file in path.parent.iterdir()] == ["judge.sqlite"]
    store.close()
    assert store.do_now(COUNT, None) == 400


async def test_a_bug_reaches_its_own_caller_only(path: Path) -> None:
    store = Store.open(path)
    jobs = [store.do(PUT, ("a", "1")), store.do(PUT, ("b", 10**30)), store.do(PUT, ("c", "3"))]  # type: ignore[arg-type]
    first, wrong, last = await asyncio.gather(*jobs, return_exceptions=True)
    assert isinstance(wrong, OverflowError)
    assert first == last == 1
    assert await store.do(COUNT, None) == 2


def test_several_event_loops_use_one_store(path: Path) -> None:
    async def work(name: str) -> None:
        store = Store.open(path)
        await asyncio.gather(*(store.do(PUT, (f"{name}{i}", name)) for i in range(100)))
        assert await store.do(GET, f"{name}7") == name

    threads = [threading.Thread(target=asyncio.run, args=(work(name),)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Store.open(path).do_now(COUNT, None) == 300


def test_an_event_loop_that_is_gone_stops_nothing(path: Path) -> None:
    store = Store.open(path)

    async def give_up() -> None:
        jobs = [asyncio.ensure_future(store.do(PUT, (str(i), ""))) for i in range(20)]
        await asyncio.sleep(0)
        for job in jobs:
            job.cancel()

    asyncio.run(give_up())
    assert store.do_now(COUNT, None) == 20


def test_processes_share_a_file_and_a_fork_opens_it_anew(path: Path) -> None:
    store = filled(path, 10)
    store.do_now(COUNT, None)
    code = """
store.do_now(PUT, ("parent", ""))
if (pid := os.fork()) == 0:
    for i in range(50): store.do_now(PUT, (f"child{i}", ""))
    os._exit(0)
for i in range(50): store.do_now(PUT, (f"parent{i}", ""))
assert os.waitpid(pid, 0)[1] == 0
store.post(PUT, ("last words", ""))  # and no close: leaving is enough
"""
    child(code, path)
    assert store.do_now(COUNT, None) == 112


def garbage(path: Path) -> None:
    path.write_bytes(b"no database\n" * 1000)


def half_a_header(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def no_end(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:20_000])


def noise_in_the_schema(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:4096] = b"\xff" * 3996
    path.write_bytes(data)


def another_programs(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE verdicts (key, verdict)")
    connection.close()


def another_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()


def other_tables(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE verdicts RENAME COLUMN verdict TO word")
    connection.close()


DAMAGES = (garbage, half_a_header, no_end, noise_in_the_schema, another_programs, another_version, other_tables)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_set_aside_with_one_warning(
    damage: object, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = filled(path)
    damage(path)  # type: ignore[operator]
    before = path.read_bytes()
    for i in range(400):
        store.do_now(GET, f"{i:064}")
    assert store.do_now(PUT, ("new", "v")) == 1
    assert store.do_now(COUNT, None) == 1
    assert (path.parent / "judge.sqlite.damaged-1").read_bytes()[:4096] == before[:4096]
    assert [message.split(" (")[0] for message in warned(caplog)] == ["judge.sqlite is damaged"]


def test_pages_that_prove_corrupt_during_work_lose_no_write(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = filled(path)
    data = bytearray(path.read_bytes())
    data[3 * 4096 :] = b"\x07" * (len(data) - 3 * 4096)  # the schema and the roots are whole, so it opens
    path.write_bytes(data)
    for i in range(100):
        assert store.do_now(PUT, (f"{i}", "v")) == 1
    assert store.do_now(COUNT, None) == 100
    assert len(warned(caplog)) == 1


def test_damaged_files_are_numbered_and_leave_nothing_beside_the_new_one(path: Path) -> None:
    for _ in range(3):
        store = filled(path, 5)
        garbage(path)
        store.do_now(COUNT, None)
        store.close()
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["judge.sqlite", *(f"judge.sqlite.damaged-{n}" for n in (1, 2, 3))]


def test_a_process_whose_file_was_set_aside_follows_to_the_new_one(path: Path) -> None:
    store = filled(path, 5)
    store.do_now(COUNT, None)
    os.rename(path, path.with_name("judge.sqlite.damaged-1"))  # as another process does it
    os.rename(f"{path}-wal", path.with_name("judge.sqlite.damaged-1-wal"))
    os.rename(f"{path}-shm", path.with_name("judge.sqlite.damaged-1-shm"))
    other = Store(path)  # not `Store.open`: a writer of its own, as in another process
    assert other.do_now(PUT, ("theirs", "")) == 1
    assert store.do_now(PUT, ("mine", "")) == 1
    assert store.do_now(COUNT, None) == other.do_now(COUNT, None) == 2
    other.close()


def test_what_was_spent_outlives_a_file_that_can_still_be_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def spend(connection: sqlite3.Connection, items: list[None]) -> list[tuple[object, ...]]:
        connection.execute("INSERT INTO spend VALUES ('j', 1, 2, 30, 40, 5, 0.5)")
        return [()] * len(items)

    def total(connection: sqlite3.Connection, items: list[None]) -> list[tuple[object, ...]]:
        return connection.execute("SELECT * FROM spend").fetchall() * len(items)

    store = filled(path)
    store.do_now(Work(spend, writes=True), None)
    store.close()
    other_tables(path)
    assert store.do_now(Work(total), None) == (b"j", 1, 2, 30, 40, 5, 0.5)
    assert len(warned(caplog)) == 1


def test_a_disk_without_room_loses_writes_and_not_reads(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def limit(connection: sqlite3.Connection, pages: list[int]) -> list[None]:
        return [connection.execute(f"PRAGMA max_page_count = {pages[0]}").fetchone()]

    store = filled(path, 20)
    store.do_now(Work(limit), 1)  # as many as there are
    read: list[str | None] = []
    written: list[int | None] = []
    for i in range(20):
        store.post(PUT, (f"big{i}", "v" * 50_000), written.append)
        store.post(GET, f"{i:064}", read.append)
    store.do_now(COUNT, None)
    assert written == [None] * 20
    assert read == ["v" * 500] * 20
    assert len(warned(caplog)) == 1
    assert "no room" in warned(caplog)[0]
    store.do_now(Work(limit), 10_000)
    assert store.do_now(PUT, ("big", "v" * 50_000)) == 1


def test_a_path_that_cannot_be_is_said_once_and_nothing_fails(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    store = Store.open(tmp_path / "file" / "judge.sqlite")
    assert [store.do_now(PUT, ("k", "v")) for _ in range(5)] == [None] * 5
    store.close()
    assert store.do_now(GET, "k") is None
    store.close()
    assert len(warned(caplog)) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_finished_file_in_a_read_only_folder_can_be_read(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = filled(path, 20)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert store.do_now(GET, f"{7:064}") == "v" * 500
        assert store.do_now(PUT, ("k", "v")) is None
        assert store.do_now(GET, f"{8:064}") == "v" * 500
        store.close()
    finally:
        path.parent.chmod(0o700)
    assert len(warned(caplog)) == 1
