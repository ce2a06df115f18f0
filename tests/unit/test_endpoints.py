"""Which events an endpoint may ask for."""

from typing import get_args

import pytest

from service.domain.endpoints import Endpoint, Secret, check_events
from service.domain.errors import InvalidInput
from service.domain.predictions import EVENT_OF, EventType


def test_every_event_a_prediction_writes_can_be_asked_for() -> None:
    """The types an endpoint may name are those that predictions write, and each is accepted."""
    known = list(get_args(EventType))
    assert set(known) == {*EVENT_OF.values(), "prediction.output_expiring"}
    assert check_events(known) == tuple(known)


def test_order_is_kept_and_repetition_dropped() -> None:
    """Naming a type twice is the same as naming it once."""
    wanted = ["prediction.failed", "prediction.completed", "prediction.failed"]
    assert check_events(wanted) == ("prediction.failed", "prediction.completed")


def test_no_list_means_every_type() -> None:
    """An empty list stays empty, which an endpoint reads as every type."""
    assert check_events([]) == ()


def test_every_unknown_type_is_named_at_its_place() -> None:
    """All wrong types are reported together, each with its position and with what there is."""
    with pytest.raises(InvalidInput) as refused:
        check_events(["prediction.completed", "prediction.done", "", "PREDICTION.FAILED"])
    assert [error.field for error in refused.value.errors] == ["events.1", "events.2", "events.3"]
    assert "'prediction.done'" in refused.value.errors[0].message
    assert all("prediction.completed" in error.message for error in refused.value.errors)


def test_an_overlong_type_is_not_repeated_in_full() -> None:
    """A refusal stays short however long the wrong type is."""
    with pytest.raises(InvalidInput) as refused:
        check_events(["x" * 10_000])
    assert len(str(refused.value)) < 500


def test_a_new_endpoint_is_enabled() -> None:
    """An endpoint gets events from the moment it exists."""
    endpoint = Endpoint("ep_1", "acme", "https://hooks.acme.test/", (), "", 1_700_000_000_000, (Secret("encrypted"),))
    assert endpoint.state == "enabled"
