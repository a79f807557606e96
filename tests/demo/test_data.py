"""Somebody's file is cut into a history and a last day by what its reader says of each row."""

from pathlib import Path

from fraudline.adapters.inputs.files import load_transactions
from fraudline.contract import load_contract
from fraudline.demo.data import read_given, split

HEADER = "transaction_id,user_id,timestamp,amount,device_type,location,is_vpn,card_type,is_fraud"


def _row(number: int, day: int, location: str = "Lyon") -> str:
    return f"T{number},U{number % 3},2026-03-{day:02}T10:00:{number:02}Z,5.00,mobile,{location},false,credit,0"


def _cut(folder: Path, *rows: str) -> tuple[list[str], list[str]]:
    """The lines of the history and of the day that is streamed, without their headers."""
    contract, file = load_contract("ecommerce"), folder / "mine.csv"
    file.write_text("\n".join((HEADER, *rows)) + "\n")
    split(read_given(file, contract), contract, folder)
    history, day = ((folder / name).read_text().splitlines() for name in ("history.csv", "last-day.csv"))
    assert history[0] == day[0] == HEADER
    return history[1:], day[1:]


def test_rows_of_another_width_before_the_last_day_do_not_shift_it(tmp_path: Path) -> None:
    past = [_row(1, 1), "hello", f"{_row(2, 1)},extra", _row(3, 2)]
    today = [_row(4, 3), _row(5, 3)]
    assert _cut(tmp_path, *past, *today) == (past, today)


def test_a_quote_that_nothing_closes_stays_in_its_own_row(tmp_path: Path) -> None:
    past = [_row(1, 1), _row(2, 1, location='"Lyon'), _row(3, 2)]
    today = [_row(4, 3), _row(5, 3, location='"Lyon, at the river"')]
    assert _cut(tmp_path, *past, *today) == (past, today)


def test_a_row_over_several_lines_goes_as_one(tmp_path: Path) -> None:
    contract, file = load_contract("ecommerce"), tmp_path / "mine.csv"
    rows = ['T1,U1,2026-03-01T10:00:00Z,5.00,mobile,Lyon,false,credit,0,"a note\nof two lines"']
    rows += [f"{_row(number, number)}," for number in (2, 3)]
    file.write_text("\n".join((f"{HEADER},note", *rows)) + "\n")
    made = split(read_given(file, contract), contract, tmp_path)
    assert load_transactions(contract, [str(made.history)]).table.ids.to_pylist() == ["T1", "T2"]
    assert made.labels == {"T3": 0}


def test_copies_of_the_last_day_come_with_their_first(tmp_path: Path) -> None:
    first, past = _row(4, 2), _row(1, 1)
    conflicting, duplicate = first.replace("5.00", "7.77"), first
    earlier = first.replace("2026-03-02", "2026-03-01")
    assert _cut(tmp_path, past, first, conflicting, duplicate, earlier) == (
        [past],
        [first, conflicting, duplicate, earlier],
    )
