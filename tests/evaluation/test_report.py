"""The report: report.json has no NaN, the page has all that was measured and nothing else."""

import copy
import json
import re
from pathlib import Path

import pytest

from tests.evaluation import findings
from wavegen.errors import WavegenError
from wavegen.evaluation import pages, report
from wavegen.evaluation.figures import plots
from wavegen.evaluation.metrics import measures
from wavegen.evaluation.metrics.measures import NotApplicable
from wavegen.evaluation.report import clips, tables

EVIL = '<script>alert("x")</script>'


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the report of a run, and the facts it was made of."""
    folder = tmp_path_factory.mktemp("report")
    facts = findings.of_run(folder, 2)
    report.write(folder, facts)
    return folder, facts


@pytest.fixture
def told(made, monkeypatch):
    """Facts as report.json holds them, without what costs most of a page: its pictures."""
    monkeypatch.setattr(plots, "svg", lambda _: "<svg/>")
    told = measures.told(copy.deepcopy(made[1]))
    told["generated"]["clips"] = []
    return told


def text(page):
    """What a person reads: no markup, nothing embedded."""
    bare = re.sub(r"<[^>]*>", " ", re.sub(r"(?s)<style>.*?</style>", "", page))
    return re.sub(r"\s+", " ", bare)


def test_the_json_holds_null_with_its_reason_for_what_is_no_number(made):
    folder, facts = made
    raw = (folder / report.JSON).read_text(encoding="utf-8")
    assert "NaN" not in raw
    found = json.loads(raw)
    assert found["generated"]["model"]["loudness_distance_db"] is None
    reasons = found["not_applicable"]
    assert reasons["generated.model.loudness_distance_db"] == "every clip is silent"
    assert found["likelihood"]["bits_per_sample"] == facts["likelihood"]["bits_per_sample"]


def test_even_a_number_that_is_none_is_written_with_a_reason(tmp_path, told):
    told["likelihood"]["bits_per_sample"] = float("nan")
    report.write(tmp_path, told)
    found = json.loads((tmp_path / report.JSON).read_text(encoding="utf-8"))
    assert found["likelihood"]["bits_per_sample"] is None
    assert "likelihood.bits_per_sample" in found["not_applicable"]


def test_the_page_says_first_how_good_the_model_is(made):
    page = text((made[0] / report.PAGE).read_text(encoding="utf-8")).replace("\xa0", " ")
    assert "1.940 bits on each sample (95 % interval 1.900 to 1.990) of 48 recordings" in page
    assert "0.31 bits below an adaptive linear predictor" in page  # 2.25 less 1.94
    assert "87 % of what it plays is within 50 cents" in page
    assert "1 of 2 clips have trouble" in page


@pytest.mark.parametrize(
    ("bits", "words"), [(2.5, "0.25 bits above an adaptive"), (2.0, "0.25 bits below an adaptive")]
)
def test_a_model_worse_than_a_baseline_is_said_to_be_so(told, bits, words):
    told["likelihood"]["bits_per_sample"] = bits
    assert words in text(report.html(Path(), told))


def test_a_value_has_its_unit_and_the_recordings_own_value_beside_it(made):
    page = (made[0] / report.PAGE).read_text(encoding="utf-8").replace("\xa0", " ")
    _, row = page.split('<th scope="row">in tune</th>')
    assert re.findall(r"<td[^>]*>(.*?)</td>", row.split("</tr>")[0]) == ["87.0 %", "95.7 %"]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("bits_per_sample", 1.94, "1.940 bits"),
        ("pitch_cents", -0.04, "0.0 cents"),  # never "-0.0"
        ("top1_accuracy", 0.957, "95.7 %"),
        ("frechet_log_mel", 24_119.3, "24,100 dB²"),
        ("mse", 1.234e-5, "1.23e-05"),
        ("recordings", 2150, "2,150"),
        ("of_some_new_kind", 0.25, "0.25"),
    ],
)
def test_numbers_have_the_digits_that_count(name, value, words):
    assert tables.told(name, value).replace(tables.SPACE, " ") == words


def test_what_does_not_apply_is_grey_and_gives_its_reason(made):
    page = (made[0] / report.PAGE).read_text(encoding="utf-8")
    assert '<td class="reason">every clip is silent</td>' in page
    for word in ("NaN", "nan", "None", "null", "NotApplicable"):
        assert not re.search(rf"\b{word}\b", text(page))


SECTIONS = ["remarks", "likelihood", "baselines", "precisions", "reconstruction", "generated"]


@pytest.mark.parametrize("absent", [*SECTIONS, "sets", "subject", "not_applicable"])
def test_any_section_may_be_absent(told, absent):
    del told[absent]
    page = text(report.html(Path(), told))
    if absent != "generated":
        assert "in tune" in page
    assert "None" not in page


@pytest.mark.parametrize("section", ["likelihood", "generated", "sets"])
def test_of_a_whole_section_that_does_not_apply_the_reason_is_said(told, section):
    told[section] = NotApplicable(f"there is no {section} here")
    assert f"there is no {section} here" in text(report.html(Path(), measures.told(told)))


def test_of_one_side_that_does_not_apply_the_reason_stands_in_its_cells(told):
    told["precisions"]["int8"] = NotApplicable("this machine has no int8")
    told["likelihood"]["by_label"] = {"speaker": {"eve": NotApplicable("eve is silent")}}
    told["sets"]["real"] = NotApplicable("too few are held back")
    page = report.html(Path(), measures.told(told))
    assert "<li>this machine has no int8</li>" in page  # below the table
    assert page.count("too few are held back") == len(told["sets"]["generated"])


def test_next_to_nothing_makes_a_page_too(tmp_path):
    page = report.write(tmp_path, {"version": "0.1.0", "made": "", "subject": {"run": "r"}})
    assert "<h1>r</h1>" in page.read_text(encoding="utf-8")


def test_names_are_text_and_never_markup(told):
    told["subject"]["run"] = EVIL
    told["remarks"] = [EVIL]
    told["likelihood"]["by_recording"][0]["name"] = EVIL + "\udcff"
    told["likelihood"]["by_label"] = {EVIL: {EVIL: {"bits_per_sample": 1.0}}}
    told["generated"]["clips"] = [{"name": EVIL, "asked": EVIL, "trouble": [EVIL]}]
    page = report.html(Path(), told)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_sounds_beside_sounds_have_a_report(tmp_path):
    page = report.write(tmp_path, findings.of_sounds(tmp_path)).read_text(encoding="utf-8")
    assert "<h1>made beside real</h1>" in page
    assert "on average over 2 pairs" in text(page)
    assert page.count("<audio") == 4
    assert "What it plays" not in page  # two folders are no model
    assert "n/a<sup>1</sup>" in page  # a narrow column; the reason stands below
    assert "<li>no frame is voiced</li>" in page


def test_twelve_clips_of_many_are_heard_the_first_and_the_last_among_them(made, monkeypatch):
    folder, facts = made
    monkeypatch.setattr(clips, "_picture", lambda *_: "")
    entries = [{**facts["generated"]["clips"][0], "name": f"clip {i}"} for i in range(40)]
    chosen = clips.of(folder, entries, "generated.clips", {})
    assert len(chosen) == clips.MOST
    assert (chosen[0].name, chosen[-1].name) == ("clip 0", "clip 39")


def test_sounds_that_are_missing_or_too_long_are_named_instead_of_played(made, monkeypatch):
    folder, facts = made
    first, second = facts["generated"]["clips"]
    sizes = [(folder / first[side]).stat().st_size for side in ("generated", "real")]
    monkeypatch.setattr(clips, "MOST_BYTES", sum(sizes))
    monkeypatch.setattr(clips, "_picture", lambda *_: "")
    gone = {"name": "gone", "generated": "sounds/gone.wav"}
    found = clips.of(folder, [first, second, gone], "generated.clips", {})
    assert all(player.source for player in found[0].players)
    assert [player.reason for player in found[1].players] == [
        f"too long to be held in this page: see {second[side]} beside it"
        for side in ("generated", "real")
    ]
    assert found[2].players[0].reason == "sounds/gone.wav is not there"


def test_a_write_that_fails_leaves_the_older_report_whole(tmp_path, told, monkeypatch):
    report.write(tmp_path, told)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(beside, *_, **__):
        beside.write_bytes(b"torn")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(WavegenError, match="No space left"):
        report.write(tmp_path, {**told, "remarks": ["newer"]})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_page_is_not_rendered_with_a_value_forgotten():
    with pytest.raises(pages.jinja2.UndefinedError):
        pages.render("report.html.j2", version="0.1.0", made="")
