"""Contents of configurations, for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from arc_eval_db.configurations.content import EXACT_INTEGER_MAX

# Without NUL and halves of pairs, which are refused.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-EXACT_INTEGER_MAX, EXACT_INTEGER_MAX)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)


def values() -> st.SearchStrategy[Any]:
    """Any JSON value that can be taken."""
    return st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5), max_leaves=15
    )


def contents() -> st.SearchStrategy[dict[str, Any]]:
    """Any content that can be taken."""
    return st.dictionaries(TEXT, values(), max_size=5)
