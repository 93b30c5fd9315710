"""How many calls are in flight: halved when it is too much, one more when it goes well, nobody during a hold."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from exprl.judge.http.pacing import Pace, Window


def replies(window: Window, count: int, seconds: float, now: float) -> float:
    """So many good replies, each of `seconds`, one after another."""
    for _ in range(count):
        window.replied(now, now + seconds)
        now += seconds
    return now


class TestWindow:
    def test_it_starts_at_the_most(self) -> None:
        assert Window(32).size == 32

    def test_a_refusal_halves_it_down_to_one(self) -> None:
        window, sizes = Window(32), []
        for now in range(7):
            window.refused(now, now + 0.5)
            sizes.append(window.size)
        assert sizes == [16, 8, 4, 2, 1, 1, 1]

    def test_a_burst_of_refusals_is_one_overload(self) -> None:
        window = Window(32)
        for n in range(30):
            window.refused(started=0.0, now=1.0 + n / 100)
        assert window.size == 16
        window.refused(started=0.99, now=2.0)
        assert window.size == 16
        window.refused(started=1.01, now=2.0)
        assert window.size == 8

    def test_it_grows_by_one_for_each_window_of_good_replies_up_to_the_most(self) -> None:
        window = Window(12)
        window.refused(0.0, 0.0)
        sizes, now = [], 1.0
        for count in (7, 1, 8, 8, 9, 10, 11, 12, 12):
            now = replies(window, count, 0.1, now)
            sizes.append(window.size)
        assert sizes == [6, 7, 8, 9, 10, 11, 12, 12, 12]

    def test_a_refusal_begins_a_new_window(self) -> None:
        window = Window(8)
        now = replies(window, 7, 0.1, 0.0)
        window.refused(now, now)
        replies(window, 7, 0.1, now + 1)
        assert window.size == 4

    def test_latency_far_above_its_floor_halves_it(self) -> None:
        window = Window(8)
        now = replies(window, 8, 1.0, 0.0)
        now = replies(window, 8, 7.9, now)
        assert window.size == 8
        replies(window, 8, 9.0, now)
        assert window.size == 4

    def test_latency_under_half_a_second_is_never_far(self) -> None:
        window = Window(8)
        now = replies(window, 8, 0.001, 0.0)
        replies(window, 80, 0.49, now)
        assert window.size == 8

    def test_a_judge_that_has_become_slower_for_good_is_accepted_in_time(self) -> None:
        window = Window(8)
        now = replies(window, 8, 1.0, 0.0)
        now = replies(window, 100, 20.0, now)
        assert window.size < 8
        replies(window, 400, 20.0, now)
        assert window.size == 8

    def test_what_began_before_the_halving_does_not_let_it_grow(self) -> None:
        window = Window(8)
        window.refused(1.0, 1.0)
        for _ in range(50):
            window.replied(0.5, 1.5)
        assert window.size == 4

    @given(
        st.integers(1, 64),
        st.lists(st.tuples(st.booleans(), st.floats(0, 100), st.floats(0, 100)), max_size=200),
    )
    def test_it_stays_between_one_and_the_most(self, most: int, events: list[tuple[bool, float, float]]) -> None:
        window, now = Window(most), 0.0
        for good, gap, seconds in events:
            now += gap
            (window.replied if good else window.refused)(max(now - seconds, 0.0), now)
            assert 1 <= window.size <= most


class TestPace:
    async def test_no_more_than_the_window_are_let_in(self) -> None:
        pace, most = Pace(3), 0

        async def work() -> None:
            nonlocal most
            async with pace.turn():
                most = max(most, pace.in_flight)
                await asyncio.sleep(0.001)

        await asyncio.gather(*(work() for _ in range(20)))
        assert (most, pace.in_flight) == (3, 0)

    async def test_its_load_is_what_is_in_flight_and_what_waits(self) -> None:
        pace = Pace(2)
        asking = [asyncio.create_task(pace.enter(first=False)) for _ in range(5)]
        await asyncio.sleep(0)
        assert (pace.in_flight, pace.queued, pace.load) == (2, 3, 5)
        asking[4].cancel()
        await asyncio.sleep(0)
        assert pace.load == 4
        pace.leave()
        assert (pace.in_flight, pace.queued) == (2, 1)
        for left in (2, 1, 0):
            pace.leave()
            await asyncio.sleep(0)
            assert pace.load == left

    async def test_those_that_are_asked_again_go_first(self) -> None:
        pace, order = Pace(1), []

        async def work(name: str, first: bool) -> None:
            async with pace.turn(first=first):
                order.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(work("a", False), work("b", False), work("c", False), work("again", True))
        assert order == ["a", "again", "b", "c"]

    async def test_a_hold_lets_nobody_in_until_it_is_over(self) -> None:
        now = 0.0
        pace = Pace(4, clock=lambda: now)
        pace.hold(0.02)
        pace.hold(0.06)
        pace.hold(0.01)
        start = asyncio.get_running_loop().time()
        async with pace.turn(first=True):
            assert asyncio.get_running_loop().time() - start >= 0.055

    async def test_a_hold_can_be_lifted(self) -> None:
        pace = Pace(4)
        pace.hold(60)
        waiting = asyncio.create_task(pace.enter(first=False))
        await asyncio.sleep(0)
        pace.lift()
        await asyncio.wait_for(waiting, 1)
        assert pace.in_flight == 1

    async def test_a_cancelled_wait_takes_no_turn(self) -> None:
        pace = Pace(1)
        await pace.enter(first=False)
        waiting = [asyncio.create_task(pace.enter(first=False)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        pace.leave()  # lets the second in, which is cancelled in the same breath
        waiting[1].cancel()
        await asyncio.wait_for(waiting[2], 1)
        assert pace.in_flight == 1
        assert [task.cancelled() for task in waiting] == [True, True, False]

    async def test_an_error_gives_the_turn_back(self) -> None:
        pace = Pace(1)
        for _ in range(2):
            try:
                async with pace.turn():
                    raise KeyError
            except KeyError:
                pass
        assert pace.in_flight == 0

    async def test_after_a_refusal_fewer_are_let_in(self) -> None:
        now = 0.0
        pace = Pace(4, clock=lambda: now)
        for _ in range(4):
            await pace.enter(first=False)
        pace.refused(0.0)
        waiting = asyncio.create_task(pace.enter(first=False))
        for left in (3, 2):
            pace.leave()
            await asyncio.sleep(0)
            assert (pace.in_flight, waiting.done()) == (left, False)
        pace.leave()
        await asyncio.wait_for(waiting, 1)
        assert pace.in_flight == 2
