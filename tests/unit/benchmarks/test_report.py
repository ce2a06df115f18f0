"""The results page of the benchmarks: its arithmetic, and that each path and target stands on it once."""

import pytest

from benchmarks.measured import Figure, MeasuredPath, Target, percentile
from benchmarks.report import merged, section, summary, table


def path(*targets: Target, **more: object) -> MeasuredPath:
    """A path of two contestants."""
    rounds = {"breakwater": lambda _: Figure(1.0), "bare": lambda _: Figure(1.0)}
    return MeasuredPath("submit", "submissions/s per core", "bare", rounds, targets, **more)  # type: ignore[arg-type]


def figures(ours: list[float], bare: list[float]) -> dict[str, list[Figure]]:
    """Rounds of both."""
    return {"breakwater": [Figure(one) for one in ours], "bare": [Figure(one) for one in bare]}


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.99, 5.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([float(one) for one in range(1, 101)], 0.99, 99.0),
        ([float(one) for one in range(1, 101)], 1.0, 100.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_a_percentile_is_a_value_that_was_seen(values: list[float], share: float, expected: float) -> None:
    """By nearest rank: nothing is made up between two values."""
    assert percentile(values, share) == expected


def test_nothing_has_no_percentile() -> None:
    """A round without an answer must not pass for a fast one."""
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


@pytest.mark.parametrize(
    ("target", "reached", "met"),
    [
        (Target(0.5, "bare"), 0.6, True),
        (Target(0.7, "bare"), 0.6, False),
        (Target(0.5, "bare", less=True), 0.6, False),
        (Target(3.0, "bare", less=True, by="difference"), -40.0, True),
        (Target(50.0, less=True, by="value"), 60.0, False),
        (Target(1.5, "breakwater", contestant="bare"), 100 / 60, True),
    ],
)
def test_a_target_is_reached_by_ratio_difference_or_value(target: Target, reached: float, met: bool) -> None:
    """Of the medians of our contestant, or of the one it names."""
    medians = {"breakwater": 60.0, "bare": 100.0}
    assert target.reached(medians) == pytest.approx(reached)
    assert target.met(target.reached(medians)) is met


def test_a_contestant_is_shown_with_median_spread_and_ratio() -> None:
    """One wild round moves the spread and not the rate."""
    _, rows = table(path(), figures([1_000.0, 9_000.0, 2_000.0], [4_000.0, 4_000.0, 4_000.0]))
    assert rows[0] == ["breakwater", "2,000", "1,000 to 9,000", "0.50"]


def test_latencies_of_all_rounds_are_taken_together() -> None:
    """And memory is the most that was seen; columns nobody has are left out."""
    rounds = [Figure(100.0, (1.0, 2.0), 50.0), Figure(100.0, (3.0, 40.0), 70.0)]
    columns, rows = table(path(per_core=True), {"breakwater": rounds, "bare": [Figure(200.0)]})
    assert columns[4:] == ["CPU ms each", "p50 ms at 300/s", "p99 ms", "MB"]
    assert rows[0][4:] == ["10.000", "2.00", "40.00", "70.0"]
    assert rows[1][4:] == ["5.000", "", "", ""]


def test_what_only_some_saw_has_a_column_of_its_own() -> None:
    """With the median of those rounds that saw it."""
    rounds = [Figure(1.0, also={"reads": float(one)}) for one in (1, 2, 9)]
    columns, rows = table(path(), {"breakwater": rounds, "bare": [Figure(1.0)]})
    assert columns[-1] == "reads"
    assert [row[-1] for row in rows] == ["2.00", ""]


def test_a_missed_target_is_told() -> None:
    """With what was reached, and what was wanted."""
    text, missed = section(path(Target(0.6, "bare"), Target(0.1, "bare")), figures([50.0], [100.0]))
    assert text.startswith("submit: 0.50 of bare\n")
    assert "- target: at least 0.6 of bare; reached 0.50, missed" in text
    assert "- target: at least 0.1 of bare; reached 0.50, met" in text
    assert missed == ["missed: submit reached 0.50, wanted at least 0.6 of bare"]


def test_every_target_stands_in_the_summary() -> None:
    """One line each, whatever paths it comes from."""
    submit, _ = section(path(Target(0.6, "bare"), Target(0.1, "bare")), figures([50.0], [100.0]))
    lines = summary([submit, "read: 0.40 of bare\n\n| contestant |"]).splitlines()
    assert lines[4:] == [
        "| submit | at least 0.6 of bare | 0.50 | missed |",
        "| submit | at least 0.1 of bare | 0.50 | met |",
    ]


def test_a_path_measured_alone_takes_its_earlier_place() -> None:
    """The others stay as they were, and the summary speaks of the page as it is now."""
    slow, _ = section(path(Target(0.6, "bare")), figures([50.0], [100.0]))
    fast, _ = section(path(Target(0.6, "bare")), figures([90.0], [100.0]))
    page = merged("# Measured\n\nwhen and where", [slow, "read: 1.00 of x\n\ntext"])
    again = merged(page, [fast])
    assert again.startswith("# Measured\n\nwhen and where\n\n## targets\n")
    assert again.count("## submit: ") == again.count("## read: ") == again.count("## targets") == 1
    assert "| submit | at least 0.6 of bare | 0.90 | met |" in again
    assert again.index("## submit: ") < again.index("## read: ")
