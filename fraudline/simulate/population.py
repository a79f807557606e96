"""What to simulate: how many users, when, and how much fraud."""

from dataclasses import dataclass
from datetime import date

from fraudline.errors import BadInput


@dataclass(frozen=True, slots=True)
class Population:
    """The whole input of a simulation; equal populations give equal transactions.

    `days` counts from `start`, at midnight UTC. `fraud_rate` is the share of fraudulent rows. A user makes
    about 33 transactions in 45 days; half of the users make fewer than 20.
    """

    users: int = 2_000
    start: date = date(2026, 1, 5)
    days: int = 45
    fraud_rate: float = 0.015
    seed: int = 0

    def __post_init__(self) -> None:
        if self.users < 1:
            raise BadInput(f"users is {self.users}: give at least 1.")
        if not 1 <= self.days <= 3_650:
            raise BadInput(f"days is {self.days}: give 1 to 3650.")
        if not 0 <= self.fraud_rate < 0.5:
            raise BadInput(f"fraud_rate is {self.fraud_rate}: give a share of rows from 0 to below 0.5, such as 0.01.")
        if self.seed < 0:
            raise BadInput(f"seed is {self.seed}: give 0 or more.")
