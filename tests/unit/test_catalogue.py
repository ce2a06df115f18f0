"""The catalogue: what may be submitted is said before anything is charged, and a bad file stops the start."""

import fnmatch
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.catalogue import MAX_REPORTED, RESERVED
from service.domain.catalogue_file import BadCatalogue, read_catalogue
from service.domain.errors import InvalidInput, ModelRetired, NotFound
from service.domain.polling import PollProfile
from service.domain.tenants import Tenant, TenantState
from service.http.deprecation import deprecation_headers

SORA = read_catalogue().get("openai/sora-2")

BUILT_IN = [model.id for model in read_catalogue()]

ENTRY = """
[models."{id}"]
name = "Wan 2.1"
price = {{ run_usd = "{price}" }}
poll = {{ usual_s = {usual_s}, step_s = {step_s}, max_step_s = 20, deadline_s = {deadline_s} }}
inputs = {inputs}
"""


def entry(
    model_id: str = "wavespeed-ai/wan-2.1/i2v-480p",
    *,
    price: str = "0.20",
    usual_s: str = "30",
    step_s: str = "5",
    deadline_s: str = "900",
    inputs: str = '{ type = "object", required = ["image"] }',
) -> str:
    """One model of an operator's file."""
    return ENTRY.format(id=model_id, price=price, usual_s=usual_s, step_s=step_s, deadline_s=deadline_s, inputs=inputs)


def refused(inputs: dict[str, Any]) -> dict[str, str]:
    """What is wrong with a submission to the built-in model, by field."""
    with pytest.raises(InvalidInput) as refusal:
        SORA.check(inputs)
    return {error.field: error.message for error in refusal.value.errors}


class TestBuiltIn:
    """The model that is there without any configuration."""

    def test_sora_2_is_there(self) -> None:
        """It can be found by id, has a price, and is polled as a video is."""
        assert "openai/sora-2" in [model.id for model in read_catalogue()]
        assert SORA.usual_price_micros == 400_000
        assert SORA.poll == PollProfile(usual_s=45, step_s=5, max_step_s=30, deadline_s=1800)

    @pytest.mark.parametrize(
        "inputs",
        [
            {"prompt": "waves"},
            {"prompt": "waves", "aspect_ratio": "9:16"},
            {"prompt": "waves", "aspect_ratio": "16:9", "image": "https://acme.test/a.png"},
            {"prompt": "x"},
        ],
    )
    def test_documented_inputs_pass(self, inputs: dict[str, Any]) -> None:
        """Whatever the model's page allows is accepted."""
        SORA.check(inputs)

    def test_missing_prompt_is_named(self) -> None:
        """The missing field itself is named, not the body it is missing from."""
        assert refused({"aspect_ratio": "9:16"}) == {"prompt": "is required"}

    def test_wrong_aspect_ratio_is_named_with_what_there_is(self) -> None:
        """A value outside the choices is answered with the choices."""
        assert refused({"prompt": "waves", "aspect_ratio": "4:3"}) == {"aspect_ratio": 'is not one of "9:16" or "16:9"'}

    def test_every_wrong_field_is_named_at_once(self) -> None:
        """A caller mends all fields in one go."""
        assert set(refused({"prompt": 7, "image": ["a"], "aspect_ratio": "4:3"})) == {
            "prompt",
            "image",
            "aspect_ratio",
        }
        assert set(refused({"image": None, "aspect_ratio": None})) == {"prompt", "image", "aspect_ratio"}

    @pytest.mark.parametrize("prompt", ["", None, 3, True, ["waves"], {"text": "waves"}])
    def test_a_prompt_is_a_text_that_says_something(self, prompt: object) -> None:
        """Empty prompts and other types are refused."""
        assert set(refused({"prompt": prompt})) == {"prompt"}

    @settings(max_examples=60, deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(["size", "duration", "characters", "seed", "x-новое", ""]),
            st.none() | st.integers() | st.floats() | st.lists(st.booleans(), max_size=3) | st.text("ab", max_size=5),
        )
    )
    def test_fields_it_does_not_know_pass(self, unknown: dict[str, Any]) -> None:
        """Fields of a newer version of the model reach the upstream, whatever they hold."""
        SORA.check({"prompt": "waves", **unknown})

    @settings(max_examples=60, deadline=None)
    @given(
        st.dictionaries(st.sampled_from(["prompt", "image", "aspect_ratio"]), st.sampled_from([0, 1, 2]), min_size=1)
    )
    def test_errors_never_repeat_what_was_sent(self, kinds: dict[str, int]) -> None:
        """A refusal may be logged: neither a prompt nor any other value is in its text, whatever its type."""
        secret = "the-unreleased-campaign"
        values: list[Any] = [secret, [secret], {secret: secret}]
        inputs = {name: values[kind] for name, kind in kinds.items()}
        with pytest.raises(InvalidInput) as refusal:
            SORA.check({"aspect_ratio": secret, **inputs})
        assert secret not in str(refusal.value)
        assert secret not in repr(refusal.value.errors)


def test_unknown_model_is_answered_with_what_there_is() -> None:
    """The refusal names the model asked for, shortened, and every model that could have been meant."""
    catalogue = read_catalogue(entry())
    with pytest.raises(NotFound) as refusal:
        catalogue.get("openai/sora-9" + "x" * 5_000)
    assert "openai/sora-9" in str(refusal.value)
    available = ", ".join([*BUILT_IN, "wavespeed-ai/wan-2.1/i2v-480p"])
    assert str(refusal.value).endswith(f"available: {available}")
    assert len(str(refusal.value)) < 500


def test_an_operators_file_adds_models() -> None:
    """A file adds its models beside the built-in ones, with their own price, schema and polling."""
    catalogue = read_catalogue(entry())
    assert [model.id for model in catalogue] == [*BUILT_IN, "wavespeed-ai/wan-2.1/i2v-480p"]
    added = catalogue.get("wavespeed-ai/wan-2.1/i2v-480p")
    assert (added.name, added.usual_price_micros) == ("Wan 2.1", 200_000)
    assert added.poll == PollProfile(usual_s=30, step_s=5, max_step_s=20, deadline_s=900)
    with pytest.raises(InvalidInput, match="image: is required"):
        added.check({"prompt": "waves"})


def test_an_operators_file_replaces_models() -> None:
    """An entry under a built-in id takes its place as a whole."""
    catalogue = read_catalogue(entry("openai/sora-2", price="1.50"))
    replaced = catalogue.get("openai/sora-2")
    assert [model.id for model in catalogue] == BUILT_IN
    assert replaced.usual_price_micros == 1_500_000
    with pytest.raises(InvalidInput, match="image: is required"):
        replaced.check({"prompt": "waves"})


def test_poll_times_can_be_scaled() -> None:
    """The scale multiplies every time of every model, the built-in ones included."""
    fast = read_catalogue(entry(), poll_scale=0.01)
    assert fast.get("wavespeed-ai/wan-2.1/i2v-480p").poll.usual_s == pytest.approx(0.3)
    assert [model.poll for model in fast][: len(BUILT_IN)] == [model.poll.scaled(0.01) for model in read_catalogue()]
    assert fast.poll("gone/from-the-catalogue") == read_catalogue().poll("gone/from-the-catalogue").scaled(0.01)


def test_nested_fields_are_named_by_their_path() -> None:
    """A field inside a field, or in a list, is named by its way there."""
    schema = (
        '{ type = "object", properties = { characters = { type = "array", items ='
        ' { type = "object", required = ["id"], properties = { age = { type = "integer" } } } } } }'
    )
    model = read_catalogue(entry("a/b", inputs=schema)).get("a/b")
    with pytest.raises(InvalidInput) as refusal:
        model.check({"characters": [{"id": "x"}, {"age": "old"}]})
    assert {error.field for error in refusal.value.errors} == {"characters.1.age", "characters.1.id"}


def test_one_answer_names_a_bounded_number_of_fields() -> None:
    """However many fields are wrong, the answer stays short."""
    schema = '{ type = "object", additionalProperties = { type = "string" } }'
    model = read_catalogue(entry("a/b", inputs=schema)).get("a/b")
    with pytest.raises(InvalidInput) as refusal:
        model.check({f"field_{number}": number for number in range(500)})
    assert len(refusal.value.errors) == MAX_REPORTED == 20


@pytest.mark.parametrize("model_id", ["openai/sora-2", "a/b/c", "wavespeed-ai/wan-2.1/i2v-480p/lora_x"])
def test_model_ids_have_two_to_four_segments(model_id: str) -> None:
    """Every form of id that WaveSpeed uses is accepted."""
    assert read_catalogue(entry(model_id)).get(model_id).id == model_id


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[models", ["not TOML"]),
        ("models = 3", ["models"]),
        ('[modles."a/b"]\nname = "x"', ["models"]),
        ('[models]\n"a/b" = 3', ["models.a/b"]),
        (entry("a/b") + 'colour = "red"', ["models.a/b.colour"]),
        (entry("a/b").replace("name", "nmae"), ["models.a/b"]),
        (entry("a/b").replace('"Wan 2.1"', '""'), ["models.a/b.name"]),
        (entry("a/b", price="free"), ["models.a/b.price.run_usd"]),
        (entry("a/b", price="-1"), ["models.a/b.price.run_usd"]),
        (entry("a/b", price="1e3"), ["models.a/b.price.run_usd"]),
        (entry("a/b", price="0.0000001"), ["models.a/b.price.run_usd"]),
        (entry("a/b").replace('"0.20"', "0.20"), ["models.a/b.price.run_usd"]),
        (entry("a/b", usual_s="0"), ["models.a/b.poll.usual_s"]),
        (entry("a/b", usual_s="-1"), ["models.a/b.poll.usual_s"]),
        (entry("a/b", usual_s="nan"), ["models.a/b.poll.usual_s"]),
        (entry("a/b", usual_s='"soon"'), ["models.a/b.poll.usual_s"]),
        (entry("a/b").replace("deadline_s", "deadline"), ["models.a/b.poll"]),
        (entry("a/b", inputs="3"), ["models.a/b.inputs"]),
        (entry("sora"), ["models.sora", "2 to 4 segments"]),
        (entry("a/b/c/d/e"), ["models.a/b/c/d/e", "2 to 4 segments"]),
        (entry("a//b"), ["models.a//b", "2 to 4 segments"]),
        (entry("/a/b"), ["models./a/b", "2 to 4 segments"]),
        (entry("a/b") + entry("a/b"), ["not TOML"]),
        (entry("a/b", inputs='{ type = "txt" }'), ["models.a/b.inputs", "not a JSON schema"]),
        (
            entry("a/b", inputs='{ properties = { prompt = { pattern = "(" } } }'),
            ["models.a/b.inputs", "not a JSON schema"],
        ),
        (entry("a/b", inputs='{ "$ref" = "#/nowhere" }'), ["models.a/b.inputs", "not a JSON schema"]),
        (entry("a/b", usual_s="inf"), ["models.a/b.poll.usual_s"]),
        (entry("a/b", deadline_s="inf"), ["models.a/b.poll.deadline_s"]),
        (entry("a/b", deadline_s="1e9"), ["models.a/b.poll.deadline_s"]),
        (entry("a/b", step_s="21"), ["models.a/b.poll", "max_step_s"]),
        (entry("a/../b"), ["models.a/../b"]),
        (entry("a/b?c"), ["models.a/b?c"]),
        (entry("a/b c"), ["models.a/b c"]),
        (entry("predictions/delete"), ["models.predictions/delete", "WaveSpeed's own paths"]),
        (entry("a/" + "b" * 199), ["models.a/bbb"]),
        (entry("a/b") + 'state = "gone"', ["models.a/b.state"]),
        (entry("a/b") + "deprecated_at = 2026-09-01", ["models.a/b", "deprecated or retired"]),
        (entry("a/b") + 'state = "deprecated"', ["models.a/b", "needs deprecated_at"]),
        (
            entry("a/b") + 'state = "deprecated"\ndeprecated_at = 2026-09-01\nsunset_at = 2026-08-31',
            ["models.a/b", "sunset_at must not be before"],
        ),
        (entry("a/b") + 'state = "deprecated"\ndeprecated_at = 2026-09-01T12:00:00', ["models.a/b.deprecated_at"]),
        (entry("a/b") + 'state = "retired"', ["models.a/b", "needs a replacement"]),
        (entry("a/b") + 'replacement = "c/d"', ["models.a/b.replacement", "c/d is not in the catalogue"]),
        (entry("a/b") + 'replacement = "a/b"', ["models.a/b.replacement", "cannot replace it"]),
        (
            entry("a/b")
            + 'state = "retired"\nreplacement = "c/d"\n'
            + entry("c/d")
            + 'state = "retired"\nreplacement = "openai/sora-2"',
            ["models.a/b.replacement", "c/d cannot replace it"],
        ),
        ("[models]", ["models"]),
    ],
)
def test_a_bad_file_stops_the_start_with_one_clear_line(text: str, named: list[str]) -> None:
    """The error is one line that names the model and the field at fault."""
    with pytest.raises(BadCatalogue) as refusal:
        read_catalogue(text)
    assert len(str(refusal.value).splitlines()) == 1
    assert [name for name in named if name not in str(refusal.value)] == []


def test_a_schema_is_what_the_file_says(tmp_path: Path) -> None:
    """A schema cannot pull in other files or addresses: reading the catalogue opens nothing."""
    elsewhere = tmp_path / "schema.json"
    elsewhere.write_text('{"type": "object"}')
    with pytest.raises(BadCatalogue, match=r"models\.a/b\.inputs"):
        read_catalogue(entry("a/b", inputs=f'{{ "$ref" = "{elsewhere.as_uri()}" }}'))


FAMILY: dict[str, tuple[dict[str, Any], int]] = {
    "openai/sora-2": ({"prompt": "waves", "aspect_ratio": "16:9"}, 400_000),
    "openai/sora-2/text-to-video": ({"prompt": "waves", "size": "1280*720", "duration": 12}, 1_200_000),
    "openai/sora-2/image-to-video": ({"prompt": "waves", "image": "https://acme.test/a.png", "duration": 8}, 800_000),
    "openai/sora-2-pro/text-to-video": ({"prompt": "waves", "size": "1920*1080", "duration": 8}, 4_000_000),
    "openai/sora-2-pro/image-to-video": ({"prompt": "waves", "image": "https://acme.test/a.png"}, 1_200_000),
    "openai/sora-2/text-to-video-pro": ({"prompt": "waves", "size": "720*1280"}, 1_200_000),
}


def test_the_whole_family_is_there() -> None:
    """Every form of Sora 2 is known by its id, with its inputs and its price."""
    assert sorted(FAMILY) == BUILT_IN
    for model_id, (inputs, micros) in FAMILY.items():
        model = read_catalogue().get(model_id)
        model.check(inputs)
        assert (model_id, model.price.micros_of(inputs)) == (model_id, micros)


@pytest.mark.parametrize("model_id", [name for name in FAMILY if "image-to-video" in name])
def test_a_video_from_an_image_needs_both(model_id: str) -> None:
    """The image and the text are named when they are missing."""
    with pytest.raises(InvalidInput) as refusal:
        read_catalogue().get(model_id).check({})
    assert {error.field for error in refusal.value.errors} == {"image", "prompt"}


DEPRECATED = f"""{entry("a/old")}
state = "deprecated"
deprecated_at = 2026-09-01
sunset_at = 2026-12-31T12:00:00Z
replacement = "openai/sora-2"
"""
RETIRED = entry("a/gone") + 'state = "retired"\nreplacement = "openai/sora-2"\n'


def test_a_model_on_its_way_out() -> None:
    """A deprecated model says since when, until when and what comes after it; a day counts from its first moment."""
    model = read_catalogue(DEPRECATED).get("a/old")
    model.require_current()
    assert deprecation_headers(model) == {
        "deprecation": "@1788220800",
        "sunset": "Thu, 31 Dec 2026 12:00:00 GMT",
        "link": '</v1/models/openai/sora-2>; rel="successor-version"',
    }
    assert deprecation_headers(SORA) == {}


def test_a_model_that_is_gone() -> None:
    """A retired model says what to use instead, and is not named among those there are."""
    catalogue = read_catalogue(RETIRED)
    with pytest.raises(ModelRetired, match="model a/gone has been retired; use openai/sora-2 instead"):
        catalogue.get("a/gone").require_current()
    with pytest.raises(NotFound) as refusal:
        catalogue.get("a/never-there")
    assert "a/gone" not in str(refusal.value)


def test_other_models_pass_where_they_may() -> None:
    """With a price for them any well-formed id passes, with any input; metrics and usage call them all the same."""
    model = read_catalogue(unlisted_usd=Decimal("0.75")).get("vendor/anything/at-all")
    model.check({"whatever": [1, 2]})
    assert (model.usual_price_micros, model.listed, model.label) == (750_000, False, "unlisted")
    assert SORA.label == SORA.id


@pytest.mark.parametrize("model_id", [*(f"{word}/x" for word in sorted(RESERVED)), "a", "a/b/c/d/e", "a/..", "a/b?c"])
def test_no_other_path_of_the_account_passes_as_a_model(model_id: str) -> None:
    """Nobody reaches the company's own account under the name of a model."""
    with pytest.raises(NotFound):
        read_catalogue(unlisted_usd=Decimal(1)).get(model_id)


@given(st.lists(st.sampled_from(["openai", "sora-2", "a", "*", "/", "-", "."]), max_size=6).map("".join))
def test_a_tenants_list_of_models(pattern: str) -> None:
    """A star stands for any characters, everything else for itself."""
    tenant = Tenant("acme", "Acme", TenantState.ACTIVE, 0, models=(pattern,))
    for model_id in [*BUILT_IN, "a/b"]:
        literal = fnmatch.translate(re.sub(r"([\[\]?])", r"[\1]", pattern))
        assert tenant.may_use(model_id) == bool(re.fullmatch(literal, model_id))
