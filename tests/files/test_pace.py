"""How far a long job is, said in lines."""

from __future__ import annotations

from majorant.pace import Pace, spell


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def lines(costs: list[float]) -> list[str]:
    """What is said of a job of so many parts."""
    clock, said = Clock(), []
    pace = Pace("parts", said.append, clock)
    for done, cost in enumerate(costs, 1):
        clock.now += cost
        pace(done, len(costs))
    return said


def test_short_jobs_say_nothing_and_long_ones_say_what_is_left() -> None:
    assert lines([1.0] * 9) == []
    said = lines([1.0] * 100)
    assert said[0] == "parts: 10 %, 10 s so far, about 90 s to go"
    assert len(said) == 3
    assert len(lines([100.0] * 100)) == 100


def test_parts_that_were_there_already_do_not_promise_too_much() -> None:
    """Half was finished by an earlier run; the rest takes 10 s a part, and that is said."""
    said = lines([0.0] * 50 + [10.0] * 50)
    assert said[1] == "parts: 53 %, 30 s so far, about 8 min to go"


def test_a_count_that_begins_anew_is_a_job_of_its_own() -> None:
    clock, said = Clock(), []
    pace = Pace("parts", said.append, clock)
    for done in range(1, 11):
        clock.now += 3.0
        pace(done, 10)
    for done in range(1, 11):
        clock.now += 6.0
        pace(done, 10)
    assert said[-1] == "parts: 80 %, 78 s so far, about 12 s to go"
    # Nothing was done for longer than two thirds of the time: the whole of it says how fast it is.
    clock.now += 600.0
    pace(10, 20)
    assert "to go" in said[-1]


def test_durations_are_spelled() -> None:
    assert [spell(s) for s in (0.2, 119, 200, 7100, 9000)] == [
        "1 s", "119 s", "3 min", "118 min", "2.5 h",
    ]  # fmt: skip
