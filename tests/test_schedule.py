"""When things are due, by hand."""

from agents.schedule import Every, Ratio


def test_every_is_due_when_a_multiple_is_passed() -> None:
    every = Every(10, increment=7)
    assert [step for step in range(7, 78, 7) if every(step)] == [14, 21, 35, 42, 56, 63, 70]


def test_every_zero_is_never() -> None:
    assert not any(Every(0, increment=7)(step) for step in range(7, 78, 7))


def test_ratio_keeps_what_is_left_over() -> None:
    due = Ratio(1 / 4, increment=3)  # earns .75 a call: .75, 1.5, 2.25, 3, 3.75, ...
    assert [due() for _ in range(8)] == [0, 1, 1, 1, 0, 1, 1, 1]
    assert [Ratio(1 / 2, increment=6)() for _ in range(2)] == [3, 3]


def test_ratio_goes_on_where_it_was() -> None:
    due, again = Ratio(1 / 4, increment=3), Ratio(1 / 4, increment=3)
    for _ in range(3):
        due()
    again.load_state_dict(due.state_dict())
    assert [again() for _ in range(5)] == [1, 0, 1, 1, 1]
