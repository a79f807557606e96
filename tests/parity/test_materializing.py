"""Law 1 for lagged entities as the hourly flow builds them: from scratch, up to one hour, labels late and early."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fraudline.contract import Contract
from fraudline.durations import DAY, HOUR, floor_hour
from fraudline.features.definition import feature_set
from fraudline.features.offline import offline_features
from fraudline.features.online import OnlineFeatures
from fraudline.materializing import build_lagged
from fraudline.profiles import decode_lagged, encode_history, profile_key
from tests.parity.contracts import Draw, contracts, draws, transactions
from tests.parity.replay import arrived

thorough = settings(max_examples=60, deadline=None)


@thorough
@given(contract=contracts(), drawn=draws(), data=st.data())
def test_what_the_hourly_build_leaves_is_read_as_offline_code_follows_it(
    contract: Contract, drawn: list[Draw], data: st.DataObject
) -> None:
    made = transactions(contract, drawn)
    shift = st.sampled_from([-contract.label_delay, -HOUR, 0, 1, 3 * DAY, 40 * DAY])
    known_at = [t.timestamp + contract.label_delay + data.draw(shift, label="known later by") for t in made]
    table = arrived(contract, made, known_at)
    row = data.draw(st.integers(0, len(made) - 1), label="row")
    hours = data.draw(st.integers(0, 47), label="hours behind")
    through = floor_hour(int(table.effective_time[row])) - hours * HOUR
    built = build_lagged(table, through)
    generation = feature_set(contract).hash
    keys = [
        profile_key(entity.name, id_, generation)
        for entity, id_ in zip(contract.lagged_entities, made[row].entities[1:], strict=True)
    ]
    lagged = [decode_lagged(encode_history(built[key])) if key in built else None for key in keys]

    online, history = OnlineFeatures(contract), OnlineFeatures(contract).new_history()
    for earlier in made[:row]:
        if earlier.entities[0] == made[row].entities[0]:
            online.count(history, earlier, max(earlier.timestamp, history.last))
    computed = online.features(made[row], history, lagged, through)
    followed = replace(table, built_through=np.full(len(table), through))
    wanted = np.arange(len(table)) == row
    assert np.array(computed.features).tobytes() == offline_features(followed, wanted)[0].tobytes()
