"""The page in a real browser: it scores, says it in numbers, needs nothing from elsewhere and takes no text for markup."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from browser import BROWSER, browsing
from served import ACTOR, FakeJudge, serving

from exprl.types import Verdict

needs_browser = pytest.mark.skipif(BROWSER is None, reason="no Chromium; install one or name it in EXPRL_BROWSER")
HOSTILE = (
    "So 37+25=62, the first bracket. <img src=x onerror=\"document.title='owned'\"> ###\n"
    "<script>document.title='owned'</script> Now 62*3 is the whole: 62*3=186, which we check below. 😀 ###\n"
    "Check: 186/3=62 and 62-25=37, as it should be. ###\n"
    "I am not sure about the rest. " + "x" * 300 + " ###\n"
    "\\boxed{186}\n"
)


def graded(text: str) -> Verdict:
    """0.25, 0.5, 0.75, no score, 1 by the number of segments."""
    scores = {1: 0.25, 2: 0.75, 3: 0.5, 5: 1.0}
    count = text.count("###") + (not text.rstrip().endswith("###"))
    return Verdict(scores[count]) if count in scores else Verdict(None, unscored="judge timeout")


@needs_browser
@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1000, False), (420, False), (420, True), (1000, True)])
async def test_a_pasted_trace_is_shown_segment_by_segment_with_its_scores(
    width: int, dark: bool, tmp_path: Path
) -> None:
    async with serving(FakeJudge(graded)) as server, browsing() as page:
        await server.register()
        await page.open(server.url, width=width, dark=dark)
        await page.type("#token", ACTOR)
        await page.type("#reference", "p1")
        await page.type("#trace", HOSTILE)
        await page.click("#go")
        await page.until("document.querySelector('#status').textContent === 'done'")
        scores = await page.run("[...document.querySelectorAll('.score')].map(e => e.textContent)")
        assert scores == ["0.25", "0.75", "0.5", "none", "1"]
        changes = await page.run("[...document.querySelectorAll('.change')].map(e => e.textContent)")
        assert changes == ["+0.25", "+0.5", "−0.25", "", ""]
        texts = await page.run("[...document.querySelectorAll('.text')].map(e => e.textContent)")
        shown = [*HOSTILE.replace("###\n", "###\0").split("\0")]  # the line break that opens a segment is left out
        assert texts == shown
        assert await page.run("document.title") == "Score a trace · exprl"
        assert await page.run("document.querySelectorAll('#segments img, #segments script').length") == 0
        assert "whole trace: 1 (5 segments, 1 without a score)" in await page.run(
            "document.querySelector('#summary').textContent"
        )
        assert await page.run("document.documentElement.scrollWidth <= window.innerWidth"), (
            "nothing hangs over the edge"
        )
        edge = "document.querySelector('#segments').getBoundingClientRect().right"
        assert await page.run(f"document.documentElement.clientWidth - {edge} >= 12")
        assert await page.run(CONTRAST) == []
        if folder := os.environ.get("EXPRL_SHOTS"):
            await page.shoot(Path(folder, f"serve-{width}-{'dark' if dark else 'light'}.png"))
        assert page.complaints == []
        assert {url.split("/")[2] for url in page.requests} == {server.url.split("/")[2]}


@needs_browser
async def test_by_keyboard_alone_and_with_what_goes_wrong_said_in_words() -> None:
    async with serving() as server, browsing() as page:
        await server.register()
        await page.open(server.url)
        await page.type("#token", "wrong-token")
        await page.type("#trace", "37+25=62 ###\n62*3=186 \\boxed{186}")
        await page.type("#reference", "p1")
        await page.press("Enter", 13)
        await said(page, "a bearer token is needed (401)")
        await page.type("#token", ACTOR)
        await page.type("#reference", "nobody's")
        await page.press("Enter", 13)
        await said(page, "no reference has this id (404)")
        assert await page.run("document.querySelector('#result').hidden")
        await page.type("#reference", "p1")
        await page.press("Enter", 13)
        await said(page, "done")
        assert await page.run("document.querySelectorAll('#segments li').length") == 2
        await page.click("#verify")
        await said(page, "The final answer is right.")
        stored = "[localStorage.length, sessionStorage.length, document.cookie, location.href]"
        assert await page.run(stored) == [0, 0, "", server.url + "/"]


async def said(page, words: str) -> None:  # type: ignore[no-untyped-def]
    await page.until(f"document.querySelector('#status').textContent === {json.dumps(words)}")


async def test_the_page_is_served_whole_under_a_policy_that_allows_nothing_else() -> None:
    async with serving() as server:
        for path, content_type in (("/", "text/html"), ("/page.css", "text/css"), ("/page.js", "text/javascript")):
            answer = await server.ask(path, method="GET", token=None)
            policy = answer.headers["Content-Security-Policy"]
            assert answer.status == 200
            assert answer.headers["Content-Type"].startswith(content_type)
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert "http" not in policy
            assert "//" not in answer.text.replace("// ", "")
            for sink in (
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " style=",
                " onclick=",
            ):
                assert sink not in answer.text


CONTRAST = """
(() => {
  const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (text) => {
    const [r, g, b] = rgb(text).slice(0, 3).map((v) => v / 255)
      .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const colour = getComputedStyle(node).backgroundColor;
      if (!/rgba\\(.*, 0\\)/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const bad = [];
  for (const node of document.querySelectorAll("body *")) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
    if (node.classList.contains("seen") || !node.offsetParent) continue;
    const [a, b] = [light(getComputedStyle(node).color), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push([node.tagName, node.className, node.textContent.slice(0, 20), Math.round(ratio * 10) / 10]);
  }
  return bad;
})()
"""
