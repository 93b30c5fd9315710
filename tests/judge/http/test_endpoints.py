"""Which endpoint a call goes to, by a fake clock: sticky while all is well, elsewhere while it is not, and back."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exprl.errors import JudgeError
from exprl.judge.http.endpoints import Endpoint, Endpoints

URLS = tuple(f"http://host{n}:8000/v1" for n in range(4))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(count: int) -> tuple[Endpoints, Clock]:
    clock = Clock()
    return Endpoints(URLS[:count], clock=clock), clock


def picked(endpoints: Endpoints, route: str = "p") -> Endpoint:
    endpoint = endpoints.pick(route)
    assert endpoint is not None
    return endpoint


class TestStickiness:
    @given(st.text(min_size=1))
    def test_a_route_always_has_the_same_endpoint_in_every_process_and_order_of_urls(self, route: str) -> None:
        assert picked(Endpoints(URLS), route).url == picked(Endpoints(URLS[::-1]), route).url

    def test_routes_are_spread(self) -> None:
        endpoints, _ = made(4)
        counts = Counter(picked(endpoints, f"problem {n}").url for n in range(400))
        assert min(counts.values()) > 60

    def test_when_one_falls_out_only_its_own_routes_move(self) -> None:
        endpoints, _ = made(4)
        before = {route: picked(endpoints, route) for route in map(str, range(100))}
        lost = endpoints.all[2]
        endpoints.is_down(lost, "gone")
        moved = {route for route, endpoint in before.items() if picked(endpoints, route) is not endpoint}
        assert moved == {route for route, endpoint in before.items() if endpoint is lost}

    def test_calls_without_a_route_go_round(self) -> None:
        endpoints, _ = made(3)
        assert Counter(picked(endpoints, "").url for _ in range(30)) == dict.fromkeys(URLS[:3], 10)

    def test_an_endpoint_named_twice_is_one(self) -> None:
        assert len(Endpoints((URLS[0], URLS[0] + "/")).all) == 1


class TestBoundedLoad:
    def test_a_hot_route_fills_its_own_endpoint_and_then_the_next_in_its_order(self) -> None:
        endpoints = Endpoints(URLS, concurrency=16, bound=1.25)
        order = [endpoint.url for endpoint in endpoints._order("hot")]
        loads: Counter[Endpoint] = Counter()
        for _ in range(10):
            loads[endpoints.pick("hot", loads=loads)] += 1  # type: ignore[index]
        # share = ceil(1.25 x 16 / 4) = 5, and ceil(1.25 x 10 / 4) = 4: five at home, five at the second
        assert {endpoint.url: count for endpoint, count in loads.items()} == {order[0]: 5, order[1]: 5}

    def test_nothing_moves_while_its_endpoint_has_fewer_than_may_be_in_flight_there(self) -> None:
        endpoints = Endpoints(URLS, concurrency=32)
        loads: Counter[Endpoint] = Counter()
        for _ in range(10):
            loads[endpoints.pick("p", loads=loads)] += 1  # type: ignore[index]
        assert list(loads.values()) == [10] == [endpoints.share]

    def test_later_calls_of_a_trace_follow_the_first_though_its_endpoint_is_full(self) -> None:
        endpoints = Endpoints(URLS[:2], concurrency=4)
        one = picked(endpoints)
        loads = {one: 50}
        assert endpoints.pick("p", loads=loads) is not one
        assert endpoints.pick("p", loads=loads, place=one) is one
        assert endpoints.pick("p", {one}, loads, one) is not one
        endpoints.is_down(one, "gone")
        assert endpoints.pick("p", loads=loads, place=one) is not one

    def test_where_the_others_are_down_or_tried_a_full_one_is_asked(self) -> None:
        endpoints = Endpoints(URLS[:2], concurrency=4)
        one, two = endpoints.all
        loads = {one: 50, two: 0}
        assert endpoints.pick("p", {two}, loads) is one
        endpoints.is_down(two, "gone")
        assert endpoints.pick("p", loads=loads) is one

    def test_in_turn_a_route_counts_for_nothing(self) -> None:
        endpoints = Endpoints(URLS[:3], sticky=False)
        place = endpoints.all[0]
        assert Counter(endpoints.pick("p", place=place).url for _ in range(30)) == dict.fromkeys(URLS[:3], 10)  # type: ignore[union-attr]

    @given(
        st.lists(st.sampled_from("abcdefgh"), max_size=300),
        st.integers(1, 4),
        st.integers(1, 40),
        st.floats(1, 3),
    )
    def test_no_endpoint_has_more_than_its_bound(
        self, routes: list[str], count: int, concurrency: int, bound: float
    ) -> None:
        endpoints = Endpoints(URLS[:count], concurrency=concurrency, bound=bound)
        loads: Counter[Endpoint] = Counter()
        for number, route in enumerate(routes, 1):
            chosen = endpoints.pick(route, loads=loads)
            assert chosen is not None
            loads[chosen] += 1
            assert loads[chosen] <= max(endpoints.share, math.ceil(bound * number / count))


class TestHealth:
    def test_one_that_is_down_is_not_asked_for_five_seconds(self) -> None:
        endpoints, clock = made(1)
        endpoints.is_down(endpoints.all[0], "judge unreachable")
        clock.now += 4.9
        assert endpoints.pick("p") is None
        assert endpoints.reason == "judge unreachable"
        clock.now += 0.1
        assert endpoints.pick("p") is endpoints.pick("p") is endpoints.all[0]

    def test_a_call_that_has_tried_one_goes_to_the_next_and_then_back(self) -> None:
        endpoints, _ = made(2)
        one = picked(endpoints)
        two = endpoints.pick("p", {one})
        assert {one, two} == set(endpoints.all)
        assert endpoints.pick("p", set(endpoints.all)) is one

    def test_after_its_rest_one_call_tries_it_while_the_others_stay_away(self) -> None:
        endpoints, clock = made(2)
        one = picked(endpoints)
        endpoints.is_down(one, "gone")
        clock.now += 5
        assert [picked(endpoints) is one for _ in range(4)] == [True, False, False, False]
        clock.now += 5
        assert picked(endpoints) is one  # the trial had no end: another one
        endpoints.answers(one)
        assert [picked(endpoints) is one for _ in range(4)] == [True] * 4

    def test_three_faults_in_a_row_send_calls_elsewhere(self) -> None:
        endpoints, clock = made(2)
        one = picked(endpoints)
        for _ in range(2):
            endpoints.fails(one, shun=True)
        endpoints.answers(one)
        for _ in range(2):
            endpoints.fails(one, shun=True)
        assert picked(endpoints) is one
        endpoints.fails(one, shun=True)
        assert picked(endpoints) is not one
        clock.now += 5
        assert picked(endpoints) is one

    def test_refusals_for_its_load_do_not_send_calls_elsewhere(self) -> None:
        endpoints, _ = made(2)
        one = picked(endpoints)
        assert [endpoints.fails(one, shun=False) for _ in range(16)] == [False] * 15 + [True]
        assert picked(endpoints) is one

    def test_a_shunned_one_is_asked_where_no_other_is_left(self) -> None:
        endpoints, _ = made(2)
        one, two = endpoints.all
        for _ in range(3):
            endpoints.fails(one, shun=True)
        endpoints.is_down(two, "gone")
        assert picked(endpoints) is one
        assert endpoints.others(two)
        assert not endpoints.others(one)
        endpoints.is_down(one, "gone too")
        assert endpoints.pick("p") is None
        assert endpoints.reason == "gone too"

    @given(st.lists(st.sampled_from(["answers", "down", "fails", "wait", "pick"]), max_size=60), st.integers(0, 2))
    def test_there_is_an_endpoint_unless_all_are_down_and_a_rest_brings_it_back(
        self, events: list[str], which: int
    ) -> None:
        endpoints, clock = made(3)
        for n, event in enumerate(events):
            endpoint = endpoints.all[(which + n) % 3]
            if event == "answers":
                endpoints.answers(endpoint)
            elif event == "down":
                endpoints.is_down(endpoint, "gone")
            elif event == "fails":
                endpoints.fails(endpoint, shun=True)
            elif event == "wait":
                clock.now += 2.0
            none = endpoints.pick("p") is None
            assert not none or all(e.unreachable and e.until > clock.now for e in endpoints.all)
        clock.now += 5
        assert endpoints.pick("p") is not None


@pytest.mark.parametrize("url", ["host", "ftp://host", "http://", "http://[::1", "http://h:port"])
def test_a_url_that_is_none_is_an_error(url: str) -> None:
    with pytest.raises(JudgeError, match=r"judge\.url"):
        Endpoints((url,))


def test_an_endpoint_is_shown_by_host_and_port_alone() -> None:
    endpoints = Endpoints(("https://user:secret@h.example/v1", "http://h:81"))
    assert [endpoint.where for endpoint in endpoints.all] == ["h.example:443", "h:81"]
