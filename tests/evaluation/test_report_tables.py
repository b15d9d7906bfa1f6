"""What stands where in a report: each value in its own row and column, each reason beside it."""

import copy

import pytest

from tests.evaluation import findings
from wavegen.evaluation import report
from wavegen.evaluation.figures import charts, outlines, plots
from wavegen.evaluation.metrics import measures
from wavegen.evaluation.metrics.measures import NotApplicable
from wavegen.evaluation.metrics.words import METRICS
from wavegen.evaluation.report import clips, sentences, tables


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return findings.of_run(tmp_path_factory.mktemp("tables"), 0)


@pytest.fixture
def facts(made):
    """What was found, before report.json takes it."""
    return copy.deepcopy(made)


def told(facts):
    return measures.told(facts)


def row(table, title):
    (only,) = [each for each in table.rows if each.title == title]
    return only


def words(cells):
    return [cell.text.replace(tables.SPACE, " ") for cell in cells]


@pytest.mark.parametrize(
    ("heading", "metric", "columns"),
    [
        ("Next samples guessed from the true past", "snr_db", ["24.2 dB", "37.9 dB"]),
        ("What it plays", "onset_error_ms", ["11.0 ms", "6.0 ms"]),
        ("All that it plays, as a set", "copies", ["0.0 %", "they were not trained on"]),
        ("What the model knows", "bits_per_sample", ["1.940 (1.900 to 1.990) bits"]),
    ],
)
def test_each_side_stands_in_its_own_column(facts, heading, metric, columns):
    found = {table.heading: table for table in report.summaries(told(facts))}
    assert words(row(found[heading], METRICS[metric].title).cells) == columns


def test_metrics_stand_in_their_order_and_say_which_way_is_better(facts):
    found = {table.heading: table for table in report.summaries(told(facts))}
    table = found["Next samples guessed from the true past"]
    names = [name for name in METRICS if name in facts["reconstruction"]["model"]]
    assert [each.title for each in table.rows] == [METRICS[name].title for name in names]
    for name, each in zip(names, table.rows, strict=True):
        assert each.says.endswith(f" {METRICS[name].better.capitalize()} is better.")


def test_facts_of_one_sound_stand_before_its_metrics(facts):
    facts["likelihood"]["by_recording"][0]["nearest_known"] = "lute"
    (table,) = [each for each in report._recordings(told(facts)) if each.heading == "Foretold best"]
    assert table.columns == [
        "name", "length", "nearest recording trained on", "bits per sample", "top-1 accuracy",
        "SNR",
    ]  # fmt: skip


def recordings(facts):
    found = {table.heading: table for table in report._recordings(told(facts))}
    return {heading: [each.title for each in table.rows] for heading, table in found.items()}


def test_of_many_recordings_the_five_at_both_ends_are_named_the_furthest_first(facts):
    every = facts["likelihood"]["by_recording"]
    ordered = [each["name"] for each in sorted(every, key=lambda each: each["bits_per_sample"])]
    found = recordings(facts)
    assert found["Foretold best"] == ordered[:5]
    assert found["Foretold worst"] == ordered[:-6:-1]
    facts["likelihood"]["by_recording"] = every[:10]
    ordered = [name for name in ordered if name in {each["name"] for each in every[:10]}]
    assert recordings(facts)["Recordings"] == ordered


def test_each_reason_stands_below_the_table_of_what_it_is_about(facts):
    likelihood = facts["likelihood"]
    likelihood["by_recording"] = likelihood["by_recording"][:4]  # the fourth is silent
    likelihood["by_label"] = {"speaker": {"eve": {"top1_accuracy": NotApplicable("eve is mute")}}}
    facts["pairs"] = [{"name": "a", "snr_db": 3.0}, {"name": "b", "snr_db": NotApplicable("b")}]
    facts["generated"]["clips"] = [{"name": "c", "onset_ms": NotApplicable("c never begins")}]
    facts["precisions"]["int8"] = {"cost_bits": NotApplicable("no int8 here")}
    plain = told(facts)
    found = [*report._recordings(plain), *report.summaries(plain), report._every_clip(plain)]
    notes = {table.heading: table.notes for table in found if table and table.notes}
    assert notes == {
        "By speaker": ["eve is mute"],
        "Recordings": ["it is silent"],
        "Pairs": ["b"],
        "What coarser arithmetic costs": ["no int8 here", "not measured"],
        "All clips in numbers": ["c never begins"],
    }


def test_a_reason_that_comes_again_is_the_same_note():
    reasons = {"a.snr_db": "one", "b.snr_db": "two", "c.snr_db": "one"}
    entries = [(name, name, {"snr_db": None}) for name in "abc"]
    table = tables.of_single({"not_applicable": reasons}, "Sounds", "name", entries)
    assert table is not None
    assert [each.cells[0].note for each in table.rows] == [1, 2, 1]
    assert table.notes == ["one", "two"]


@pytest.mark.parametrize(("count", "about"), [(100, ""), (101, "The first 100 of 101;")])
def test_a_table_of_more_than_a_hundred_rows_says_where_the_rest_is(count, about):
    entries = [(str(i), f"of[{i}]", {"snr_db": 1.0}) for i in range(count)]
    table = tables.of_single({}, "Sounds", "name", entries)
    assert table is not None
    assert [each.title for each in table.rows] == [str(i) for i in range(100)]
    assert table.about.startswith(about)
    assert bool(table.about) == bool(about)


@pytest.mark.parametrize(("value", "said"), [(2, "2.000 bits"), (2.0, "2.000 bits")])
def test_a_whole_number_with_a_unit_is_told_as_any_other(value, said):
    assert tables.told("bits_per_sample", value).replace(tables.SPACE, " ") == said


def test_sentences_begin_with_what_weighs_most(facts):
    facts["generated"]["clips"] = [{"trouble": ["silence", "clipping"]}, {"trouble": []}]
    lead = [each.replace(tables.SPACE, " ") for each in sentences.lead(told(facts))]
    assert lead == [
        "It spends 1.940 bits on each sample (95 % interval 1.900 to 1.990) of 48 recordings, "
        "3 min 12 s in all.",
        "That is 0.31 bits below an adaptive linear predictor, the best of the baselines.",
        "87 % of what it plays is within 50 cents of the note asked for; of the recordings, by "
        "the same meter, 96 %.",
        "1 of 2 clips have trouble, such as silence or noise.",
    ]
    facts["baselines"] = {"markov_2_bits": 1.94}
    assert sentences.lead(told(facts))[1].startswith("That is 0.00 bits below a Markov chain")


@pytest.mark.parametrize(("step", "said"), [(4000, "at step 4,000"), (0, "at step 0"), (None, "")])
def test_the_title_names_run_and_step(facts, step, said):
    facts["subject"]["step"] = step
    assert sentences.title(told(facts)) == f"notes {said}".strip()


def test_of_a_pair_three_figures_are_said():
    pair = {"si_sdr_db": 17.1, "snr_db": 17.3, "log_spectral_distance_db": 6.0}
    (said,) = sentences.lead({"pair": pair | {"multi_resolution_stft": 0.4}})
    expected = "SI-SDR 17.1 dB, SNR 17.3 dB, log-spectral distance 6.0 dB."
    assert said.replace(tables.SPACE, " ") == expected


def test_charts_are_drawn_of_what_they_are_called(facts, monkeypatch):
    drawn = {}
    for name in ("bars", "bits_by_label", "reliability", "pit"):
        monkeypatch.setattr(
            charts, name, lambda *given, name=name: drawn.setdefault(name, given) and name
        )
    monkeypatch.setattr(plots, "svg", lambda name: f"<svg>{name}</svg>")
    plain = told(facts)
    assert len(list(report._charts(plain))) == 4
    likelihood = plain["likelihood"]
    assert drawn["pit"] == (likelihood["pit"],)
    assert drawn["reliability"] == (likelihood["calibration"],)
    assert drawn["bits_by_label"] == (likelihood["by_label"]["instrument_family"], 1.94)
    bars, mine = drawn["bars"]
    assert [bits for _, bits in bars] == [5.61, 3.9, 3.42, 2.25, 1.94]  # the dearest first
    assert bars[-1][0] == mine


def test_clips_without_a_sound_are_passed_over_and_reasons_are_their_own(tmp_path, monkeypatch):
    heard = findings.of_run(tmp_path, 2)["generated"]["clips"]
    entries = told({"clips": [{"name": "mute", "snr_db": 1.0}, *heard]})
    shown = []
    monkeypatch.setattr(outlines, "read", lambda path: path.name)
    monkeypatch.setattr(plots, "figure", lambda each: shown.append(each))
    monkeypatch.setattr(plots, "png", lambda _: b"")
    found = clips.of(tmp_path, entries["clips"], "clips", entries["not_applicable"])
    assert [clip.name for clip in found] == [each["name"] for each in heard]
    missing = [cell.text for _, cell in found[1].measured if cell.missing]
    assert missing == ["the clip is silent"]
    sides = [("generated", "001_generated.wav"), ("real", "001_real.wav")]
    assert [each[:2] for each in shown[1]] == sides


def test_a_sound_too_long_to_be_sent_leaves_room_for_the_next(tmp_path, monkeypatch):
    long, short = ({"name": name, "generated": f"{name}.wav"} for name in ("long", "short"))
    for entry, size in ((long, 1000), (short, 100)):
        (tmp_path / entry["generated"]).write_bytes(b"x" * size)
    monkeypatch.setattr(clips, "MOST_BYTES", 100)
    monkeypatch.setattr(clips, "_picture", lambda *_: "")
    found = clips.of(tmp_path, [long, short], "clips", {})
    assert [bool(clip.players[0].source) for clip in found] == [False, True]
