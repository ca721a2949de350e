"""JSON text and back, whatever JSON lacks."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from constrained_actmax.json_form import from_json, to_json
from constrained_actmax.result import Status

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text().filter("float".__ne__), inner),
)


@given(PLAIN)
def test_plain_values_come_back_the_same(value: Any) -> None:
    assert from_json(to_json(value)) == value


def test_what_json_lacks_is_strict_json_and_comes_back() -> None:
    value = {
        "array": np.array([1.0, np.inf]),
        "number": np.float64(np.nan),
        "count": np.int64(3),
        "status": Status.STALLED,
        "pair": (1, -math.inf),
    }

    def never(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    json.loads(to_json(value), parse_constant=never)
    read = from_json(to_json(value))
    assert math.isnan(read.pop("number"))
    assert read == {
        "array": [1.0, math.inf],
        "count": 3,
        "status": "STALLED",
        "pair": [1, -math.inf],
    }
