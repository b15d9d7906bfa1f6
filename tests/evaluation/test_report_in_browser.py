"""The report in a real browser: it renders, plays, asks no network, and has no errors."""

import json
import shutil

import pytest

from tests.evaluation import findings
from wavegen.evaluation import report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is in the extra dev")

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--autoplay-policy=no-user-gesture-required", "--hide-scrollbars",
)  # fmt: skip
WIDE, PHONE = 1200, 390  # pixels
EVIL = "<script>document.title = 'taken'</script>"
PLAY = """
const done = arguments[arguments.length - 1], audio = arguments[0];
audio.addEventListener("ended", () => done(audio.currentTime));
audio.addEventListener("error", () => done(String(audio.error)));
audio.play().catch(error => done(String(error)));
"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A headless browser with a profile of its own."""
    binary = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not binary or not driver:
        pytest.skip("there is no Chromium with its chromedriver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    service = webdriver.ChromeService(driver)
    with webdriver.Chrome(options=options, service=service) as browser:
        browser.set_script_timeout(20)
        yield browser


@pytest.fixture(scope="module", params=["run", "sounds"])
def page(request, browser, tmp_path_factory):
    """The browser with the page open; it lies alone in its folder, as when it was sent."""
    folder = tmp_path_factory.mktemp("report")
    facts = getattr(findings, f"of_{request.param}")(folder, 2)
    facts["remarks"] = [EVIL]
    path = report.write(folder, facts)
    alone = tmp_path_factory.mktemp("sent") / "page.html"
    shutil.move(path, alone)
    for log in ("browser", "performance"):
        browser.get_log(log)  # what went before this page
    browser.get(alone.as_uri())
    return browser


def test_it_has_its_title_its_headings_and_every_name_as_text(page):
    heading = page.find_element("tag name", "h1").text
    assert heading in ("notes at step 4,000", "made beside real")
    assert page.title == f"{heading} - wavegen"  # no script in a name changed it
    assert EVIL in page.find_element("css selector", "ul.remarks").text
    headings = [each.text for each in page.find_elements("tag name", "h2")]
    assert {"Metrics", "To hear", "In numbers", "How it was measured"} <= set(headings)


def test_every_picture_is_drawn_and_has_words_for_who_does_not_see_it(page):
    pictures = page.find_elements("tag name", "img")
    assert len(pictures) >= 2
    for picture in pictures:
        assert page.execute_script("return arguments[0].complete", picture)
        assert int(picture.get_property("naturalWidth")) > 100
        assert picture.size["height"] > 50
        assert len(picture.get_attribute("alt")) > 10


def test_every_sound_loads_with_its_length_and_plays_to_its_end(page):
    sounds = page.find_elements("tag name", "audio")
    assert len(sounds) == 4
    for sound in sounds:
        # Samples are whole: 0.5 s at 8 kHz is exact, a float64 aside.
        assert sound.get_property("duration") == pytest.approx(findings.SECONDS, abs=1e-6)
    ended = page.execute_async_script(PLAY, sounds[0])
    assert ended == pytest.approx(findings.SECONDS, abs=0.05)  # a player counts blocks


def test_no_column_leaves_the_screen_of_a_phone(page):
    for width in (WIDE, PHONE):
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width == PHONE}
        page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        assert page.execute_script("return document.documentElement.scrollWidth") == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_its_letters_stand_out_by_day_and_by_night(page, scheme):
    wish = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    style = "const s = getComputedStyle(document.body); return [s.color, s.backgroundColor]"
    text, ground = (_luminance(colour) for colour in page.execute_script(style))
    assert (text < ground) == (scheme == "light")
    lighter, darker = max(text, ground), min(text, ground)
    assert (lighter + 0.05) / (darker + 0.05) > 7  # WCAG 2.2, contrast of grade AAA


def test_nothing_was_asked_of_a_network_and_nothing_went_wrong(page):
    assert page.get_log("browser") == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    sent = [m["params"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # The tab that a browser opens first asks for pictures of its own, and late on a busy machine.
    asked = [s["request"]["url"] for s in sent if s["documentURL"] == page.current_url]
    assert page.current_url in asked  # the log does tell
    assert {url for url in asked if not url.startswith("data:")} == {page.current_url}


def _luminance(colour):
    """Of "rgb(r, g, b)", relative, as WCAG 2.2 defines it."""
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
