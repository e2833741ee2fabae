# SPDX-License-Identifier: Apache-2.0
"""
The HTML page in a real browser.

The picture in the README is made here as well:
``KRYONIX_REPORT_PICTURE=docs/images/report.png python -m pytest tests/reports/test_page.py``.
"""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from kryonix_cache.reports.lines import Finding
from kryonix_cache.reports.page import render_page
from tests.reports.records import Run, check, requirement
from tests.reports.sample import HOSTILE_KEY, deployment_run

PICTURE = "KRYONIX_REPORT_PICTURE"
DESKTOP = {"width": 1280, "height": 900}
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start the Chromium of the machine, which must be there in CI."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("Chromium is missing: the page was not looked at")
        pytest.skip("no Chromium on PATH")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=program, args=FLAGS)
        yield started
        started.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Open the page of a run; fails at the end if it complained or asked the network for more."""
    complaints: list[str] = []
    pages: list[Page] = []

    def open_run(run: Run, fragment: str = "", **options: Any) -> Page:
        folder = tmp_path / str(len(pages))
        file = folder / "report.html"
        record = run.record(folder)
        file.write_text(render_page(record), "utf-8")
        page = browser.new_page(**{"viewport": DESKTOP, **options})
        page.set_default_timeout(10_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog {dialog.message}"))
        page.on(
            "request",
            lambda sent: (
                complaints.append(sent.url)
                if sent.url.partition("#")[0] not in {file.as_uri(), "data:,"}
                else None
            ),
        )
        page.goto(file.as_uri() + fragment)
        pages.append(page)
        return page

    yield open_run
    for page in pages:
        page.close()
    assert complaints == []


def _shown(page: Page) -> list[str]:
    cards = page.locator("#results .result").all()
    return [str(card.get_attribute("id")).removeprefix("r-") for card in cards if card.is_visible()]


def _rgb(text: str) -> tuple[float, ...]:
    return tuple(float(part) for part in re.findall(r"[\d.]+", text)[:3])


def _luminance(colour: tuple[float, ...]) -> float:
    """Return the relative luminance as WCAG 2 defines it."""
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (channel / 255 for channel in colour)
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(first: str, second: str) -> float:
    light, dark = sorted((_luminance(_rgb(first)), _luminance(_rgb(second))), reverse=True)
    return (light + 0.05) / (dark + 0.05)


_TEXTS = """() => {
  const opaque = (node) => {
    for (; node; node = node.parentElement) {
      const ground = getComputedStyle(node).backgroundColor;
      if (!ground.startsWith("rgba(0, 0, 0, 0")) return ground;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.querySelectorAll("body *")]
    .filter((node) => node.checkVisibility() && node.closest("svg, script") === null)
    .filter((node) => [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim()))
    .map((node) => [node.className, node.textContent.trim().slice(0, 30),
                    getComputedStyle(node).color, opaque(node)]);
}"""


def test_the_page_asks_for_nothing_and_complains_of_nothing(open_page: Open) -> None:
    page = open_page(deployment_run())

    assert page.title().startswith("non-conformant: Redis 7.0.15")
    assert page.locator("h1").inner_text() == "Non-conformant"


def test_filters_by_outcome_area_and_text_work_together(open_page: Open) -> None:
    page = open_page(deployment_run())
    everything = _shown(page)

    page.get_by_role("checkbox", name="waived").check()
    assert _shown(page) == ["config.aof"]
    page.get_by_role("checkbox", name="fail").check()
    assert len(_shown(page)) == 10
    page.get_by_label("Area", exact=True).select_option("keyspace")
    assert _shown(page) == ["keyspace.known-families", "keyspace.fields", "keyspace.shared-lists"]
    page.get_by_label("Search").fill("avg_response_time")
    assert _shown(page) == ["keyspace.fields"]
    assert page.locator("#shown").inner_text() == "1 of 36 shown"
    page.get_by_label("Search").fill("no such thing")
    assert _shown(page) == []
    assert page.get_by_text("No requirement matches").is_visible()
    page.get_by_role("button", name="Clear").click()
    page.wait_for_function("document.getElementById('shown').textContent.startsWith('36')")
    assert _shown(page) == everything


def test_what_gates_and_failed_is_open_and_the_rest_opens_on_demand(open_page: Open) -> None:
    page = open_page(deployment_run())
    is_open = "id => document.getElementById(id).open"

    assert page.evaluate(is_open, "r-config.maxmemory") is True
    assert page.evaluate(is_open, "r-security.authentication") is True
    assert page.evaluate(is_open, "r-security.secrets-at-rest") is False
    assert page.evaluate(is_open, "r-server.ping") is False
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate(is_open, "r-server.ping") is True
    page.get_by_role("button", name="Close all").click()
    assert page.evaluate(is_open, "r-config.maxmemory") is False


def test_a_link_reaches_its_requirement_even_when_filters_hide_it(open_page: Open) -> None:
    page = open_page(deployment_run(), "#r-server.ping")
    card = page.locator("[id='r-server.ping']")

    assert card.evaluate("card => card.open") is True
    page.get_by_role("checkbox", name="waived").check()
    assert not card.is_visible()
    page.get_by_role("link", name="server.ping: pass").click()
    card.wait_for(state="visible")


def test_the_keyboard_alone_reaches_and_opens_a_requirement(open_page: Open) -> None:
    page = open_page(deployment_run())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the requirements"
    page.locator("[id='r-server.ping'] summary").focus()
    page.keyboard.press("Enter")

    assert page.locator("[id='r-server.ping']").evaluate("card => card.open") is True


def test_the_reproduce_command_is_copied(open_page: Open) -> None:
    page = open_page(deployment_run())
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    card = page.locator("[id='r-config.tcp-backlog']")
    card.get_by_role("button", name="Copy").click()
    card.get_by_role("button", name="Copied").wait_for()

    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "kryonix-cache conformance --select config.tcp-backlog"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_nothing_overflows_at_any_width(open_page: Open, scheme: str, width: int) -> None:
    viewport = {"width": width, "height": 844}
    long = "x" * 3_000
    run = Run(
        requirements=[requirement("config.a-very-long-requirement-name-that-goes-on", long)],
        checks=[
            check(
                "config.a-very-long-requirement-name-that-goes-on",
                "fail",
                long,
                test=long,
                evidence=(Finding(where=long, found=long, wanted=long, remedy=long),),
                reproduce=long,
            )
        ],
        address=f"redis://{long}:6379",
    )
    for shown in (deployment_run(), run):
        page = open_page(shown, viewport=viewport, color_scheme=scheme)
        page.get_by_role("button", name=re.compile("Open all|Close all")).click()
        wide = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert wide[0] <= wide[1] == width


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_the_contrast_that_wcag_aa_asks_for(open_page: Open, scheme: str) -> None:
    page = open_page(deployment_run(), color_scheme=scheme)
    page.get_by_role("button", name="Open all").click()
    faint = [
        (name, text, round(_contrast(ink, ground), 2))
        for name, text, ink, ground in page.evaluate(_TEXTS)
        if _contrast(ink, ground) < 4.5
    ]

    assert faint == []


def test_dark_mode_follows_the_system(open_page: Open) -> None:
    grounds = [
        _luminance(
            _rgb(
                open_page(deployment_run(), color_scheme=scheme).evaluate(
                    "getComputedStyle(document.body).backgroundColor"
                )
            )
        )
        for scheme in ("light", "dark")
    ]

    assert grounds[0] > 0.8
    assert grounds[1] < 0.05


def test_the_page_has_landmarks_one_title_and_no_skipped_heading(open_page: Open) -> None:
    page = open_page(deployment_run())
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))"
    )

    assert page.locator("html").get_attribute("lang") == "en"
    for landmark in ("banner", "navigation", "main", "contentinfo"):
        assert page.get_by_role(landmark).count() == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert page.locator("[id='']").count() == 0
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map((n) => n.id)")
    assert len(ids) == len(set(ids))
    targets = page.evaluate(
        "[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.hash.slice(1))"
    )
    assert set(targets) <= set(ids)


def test_a_hostile_key_name_is_shown_and_does_nothing(open_page: Open) -> None:
    attack = "</script></style><script>alert(1)</script><svg onload=alert(1)>\"' onclick=alert(1)"
    finding = Finding(where=f"key '{HOSTILE_KEY}'", found=attack, wanted=attack, remedy=attack)
    run = replace(
        deployment_run(),
        requirements=[requirement("server.ping", attack)],
        checks=[check("server.ping", "fail", attack, test=attack, evidence=(finding,))],
        waivers=(),
        address=attack,
    )
    page = open_page(run)

    assert page.get_by_text(HOSTILE_KEY).is_visible()
    assert page.locator("script").count() == 1
    assert page.locator("img, main svg, [onclick], [onload]").count() == 0


def test_markup_that_slipped_through_could_not_run(browser: Browser, tmp_path: Path) -> None:
    """The content security policy is the second wall, so it is tried with the first one gone."""
    html = render_page(deployment_run().record(tmp_path))
    attack = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    (tmp_path / "open.html").write_text(re.sub("<meta http-equiv[^>]*>", "", html) + attack)
    (tmp_path / "shut.html").write_text(html + attack)
    page = browser.new_page()

    page.goto((tmp_path / "open.html").as_uri())
    page.wait_for_function("document.title === 'owned'")
    page.goto((tmp_path / "shut.html").as_uri())
    assert page.title().startswith("non-conformant")
    page.close()


def test_a_run_in_which_nothing_ran_has_a_page(open_page: Open) -> None:
    page = open_page(Run(requirements=[], footprint=None))

    assert page.locator("h1").inner_text() == "Nothing-ran"
    assert page.get_by_text("Nothing was sent to a target.").is_visible()
    assert not page.locator("#filters").is_visible()


def test_the_source_list_is_answered_item_by_item(open_page: Open) -> None:
    page = open_page(deployment_run())
    answers = page.locator("#checklist .checklist .chip").all_inner_texts()

    assert len(answers) == 16 + 6
    assert answers[:4] == ["passed", "passed", "partly judged", "not judged"]
    assert page.get_by_text("6 of 22 items passed").is_visible()


def test_the_picture_of_the_report_can_be_made(open_page: Open, tmp_path: Path) -> None:
    wanted = os.environ.get(PICTURE)
    picture = Path(wanted) if wanted else tmp_path / "report.png"
    picture.parent.mkdir(parents=True, exist_ok=True)
    viewport = {"width": 1200, "height": 1850}
    open_page(deployment_run(), viewport=viewport, color_scheme="light").screenshot(path=picture)

    assert 20_000 < picture.stat().st_size < 250_000
