"""What an evaluation comes to, in a terminal: columns that stand straight, reasons below."""

import pytest

from wavegen.cli import findings
from wavegen.cli.console import Console
from wavegen.evaluation.metrics import measures
from wavegen.evaluation.metrics.measures import NotApplicable

SILENT, SHORT = NotApplicable("all is silent"), NotApplicable("they are too short")


@pytest.fixture
def shown(capsys):
    """The lines on stdout and on stderr."""
    model = {"mse": 1e-5, "snr_db": 24.2, "log_spectral_distance_db": SILENT}
    coded = {"mse": SHORT, "snr_db": SILENT, "log_spectral_distance_db": SHORT}
    facts = {"reconstruction": {"model": model, "mu_law": coded}, "remarks": ["It is a test."]}
    findings.show(measures.told(facts), Console())
    out, err = capsys.readouterr()
    return out.splitlines(), err.splitlines()


def test_a_table_has_the_names_of_its_columns_over_them(shown):
    (_, head, *rows, _, _), _ = shown
    assert head.startswith("Next samples guessed from the true past  ")
    assert head.endswith("  model  mu-law coding alone")
    assert {len(each) for each in (head, *rows)} == {len(head)}
    ends = head.index("model") + len("model")
    assert [each[:ends].split("  ")[-1].strip() for each in rows] == [
        "1e-05", "24.2 dB", "n/a [2]",
    ]  # fmt: skip


def test_what_has_no_value_says_why_below_and_each_reason_once(shown):
    (_, _, *rows, first, second), _ = shown
    assert [each.split("  ")[-1].strip() for each in rows] == ["n/a [1]", "n/a [2]", "n/a [1]"]
    assert (first, second) == ("  [1] they are too short", "  [2] all is silent")


def test_remarks_are_said_beside_the_figures(shown):
    assert shown[1] == ["note: It is a test."]
