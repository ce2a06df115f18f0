"""Prices: from a model's formula and the inputs, exact, and never guessed."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.catalogue_file import BadCatalogue, read_catalogue
from service.domain.errors import InvalidInput
from service.domain.pricing import MAX_SECONDS, Price

SIZES = {"720*1280": Decimal(1), "1024*1792": Decimal("1.5")}
BY_SECOND = Price(second_usd=Decimal("0.10"), default_s=4, size_factors=SIZES)


def model(price: str) -> Price:
    """The price of a model written like this."""
    text = f"""
[models."acme/film"]
name = "Film"
price = {price}
poll = {{ usual_s = 30, step_s = 5, max_step_s = 20, deadline_s = 900 }}
inputs = {{ type = "object" }}
"""
    return read_catalogue(text).get("acme/film").price


@pytest.mark.parametrize(
    ("inputs", "micros"),
    [
        ({}, 400_000),
        ({"duration": 8}, 800_000),
        ({"duration": "12"}, 1_200_000),
        ({"duration": 20.0}, 2_000_000),
        ({"duration": None, "size": None}, 400_000),
        ({"size": "1024*1792"}, 600_000),
        ({"duration": 1, "size": "1024*1792"}, 150_000),
        ({"prompt": "a wave"}, 400_000),
    ],
)
def test_seconds_times_size(inputs: dict[str, Any], micros: int) -> None:
    """What was asked for is what is charged; what was left out has its default."""
    assert BY_SECOND.micros_of(inputs) == micros


@pytest.mark.parametrize(
    "asked", [0, -1, True, 1.5, "4s", "", " 4", "٤", MAX_SECONDS + 1, "99999", [4], {"s": 4}, float("inf"), 10**400]
)
def test_a_length_no_price_can_be_computed_from(asked: Any) -> None:
    """The input is named, and nothing is guessed."""
    with pytest.raises(InvalidInput) as refused:
        BY_SECOND.micros_of({"duration": asked})
    assert [error.field for error in refused.value.errors] == ["duration"]


@pytest.mark.parametrize("asked", ["4k", 720, ["720*1280"], ""])
def test_a_size_without_a_price(asked: Any) -> None:
    """The input is named, with the sizes that have one."""
    with pytest.raises(InvalidInput, match=r"size: must be one of 720\*1280, 1024\*1792"):
        BY_SECOND.micros_of({"size": asked})


def test_the_size_of_a_run_that_names_none() -> None:
    """Where the usual size has a factor of its own, leaving the size out costs what naming it costs."""
    price = model(
        '{ second_usd = "0.50", default_s = 4, default_size = "720p",'
        ' size_factors = { "720p" = "0.6", "1080p" = "1" } }'
    )
    assert price.micros_of({}) == price.micros_of({"size": "720p"}) == 1_200_000
    assert price.micros_of({"size": "1080p"}) == 2_000_000


@pytest.mark.parametrize(
    ("price", "formula"),
    [
        (Price(run_usd=Decimal("0.20")), "0.20"),
        (Price(second_usd=Decimal("0.1"), default_s=4), "0.10 * duration (4 if left out)"),
        (
            BY_SECOND,
            "0.10 * duration (4 if left out) * factor of size (1 for 720*1280, 1.5 for 1024*1792)",
        ),
        (
            Price(run_usd=Decimal(1), second_usd=Decimal("0.5"), default_s=8, seconds_input="seconds"),
            "1.00 + 0.50 * seconds (8 if left out)",
        ),
    ],
)
def test_the_formula_in_words(price: Price, formula: str) -> None:
    """It names all that counts and nothing else."""
    assert price.formula == formula


@given(st.integers(1, MAX_SECONDS), st.integers(0, 10**6), st.integers(0, 10**9))
def test_prices_are_exact(seconds: int, run_micros: int, second_micros: int) -> None:
    """No micro-dollar is lost to floating point, however long the video."""
    price = Price(Decimal(run_micros) / 10**6, Decimal(second_micros) / 10**6, default_s=1)
    assert price.micros_of({"duration": seconds}) == run_micros + second_micros * seconds


def test_the_inputs_that_decide_can_have_other_names() -> None:
    """As the model has them."""
    price = model(
        '{ run_usd = "0.05", second_usd = "0.20", seconds_input = "len", default_s = 5, size_input = "res",'
        ' size_factors = { hd = "2" } }'
    )
    assert price.micros_of({"len": 10, "res": "hd", "duration": 99, "size": "x"}) == 4_050_000
    assert price.micros_of({}) == 1_050_000


def test_a_flat_price_looks_at_nothing() -> None:
    """A model that costs the same whatever is asked takes any duration."""
    assert model('{ run_usd = "0.40" }').micros_of({"duration": "long", "size": 1}) == 400_000


@pytest.mark.parametrize(
    ("price", "named"),
    [
        ("{}", "price"),
        ('{ second_usd = "0.10" }', "price"),
        ('{ second_usd = "0.10", default_s = 0 }', "price.default_s"),
        ('{ run_usd = "-1" }', "price.run_usd"),
        ("{ run_usd = 0.4 }", "price.run_usd"),
        ('{ run_usd = "1", size_factors = { hd = "much" } }', "price.size_factors.hd"),
        ('{ run_usd = "1", per_pixel = "2" }', "price.per_pixel"),
        ('{ run_usd = "1", size_factors = { hd = "2" }, default_size = "sd" }', "price"),
    ],
)
def test_a_formula_that_cannot_be_is_refused_at_start(price: str, named: str) -> None:
    """The catalogue names the model and the field."""
    with pytest.raises(BadCatalogue, match=f"models.acme/film.{named}"):
        model(price)


def test_sora_2_costs_ten_cents_a_second() -> None:
    """The built-in price: four seconds when nobody says how long."""
    price = read_catalogue().get("openai/sora-2").price
    assert (price.micros_of({"prompt": "a"}), price.micros_of({"prompt": "a", "duration": 12})) == (400_000, 1_200_000)
