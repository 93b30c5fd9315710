"use strict";
// All text, pasted or received, becomes text nodes (textContent); nothing is ever read as markup.

const $ = (id) => document.getElementById(id);
const form = $("form"), list = $("segments");

function say(text, wrong) {
  $("status").textContent = text;
  $("status").className = wrong ? "wrong" : "";
}

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function shown(number) {
  return String(Math.round(number * 100) / 100);
}

// "+0.25", "−0.25" or "±0" against the score before; the first segment is measured from 0.
function change(score, before) {
  if (score === null || before === null) return "";
  const by = score - before;
  return Math.abs(by) < 0.005 ? "±0" : (by > 0 ? "+" : "−") + shown(Math.abs(by));
}

function segment(number, text, score, before) {
  const item = element("li", "segment");
  const mark = element("div", "mark " + (score === null ? "none" : "g" + Math.round(score * 4)));
  mark.append(element("span", "seen", "Segment " + number + ", score "));
  mark.append(element("b", "score", score === null ? "none" : shown(score)));
  mark.append(element("span", "change", change(score, before)));
  item.append(mark, element("div", "text", text.replace(/^\r?\n/, "")));
  return item; // a line break that opens a segment is left out of what is shown
}

async function ask(path, body) {
  const response = await fetch(path, {
    method: "POST",
    headers: { "Authorization": "Bearer " + $("token").value, "Content-Type": "application/json" },
    body: JSON.stringify({ reference: $("reference").value, text: $("trace").value, ...body }),
    credentials: "omit",
    cache: "no-store",
  });
  if (response.ok) return response;
  let words = "";
  try { words = (await response.json()).error; } catch { words = response.statusText; }
  throw new Error(words + " (" + response.status + ")");
}

async function* lines(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    const parts = (rest + value).split("\n");
    rest = parts.pop();
    for (const part of parts) if (part) yield JSON.parse(part);
  }
}

async function score() {
  const points = Array.from($("trace").value); // cuts count code points, strings count UTF-16 units
  list.replaceChildren();
  $("summary").textContent = "";
  $("result").hidden = false;
  let start = 0, before = 0, count = 0, missing = 0, ended = false;
  for await (const part of lines(await ask("/v1/score_prefixes", { stream: true }))) {
    if (part.error) throw new Error(part.error);
    if (part.done) { ended = true; break; }
    count += 1;
    missing += part.score === null;
    list.append(segment(count, points.slice(start, part.cut).join(""), part.score, before));
    start = part.cut;
    before = part.score;
    say(count + (count === 1 ? " segment" : " segments") + " so far");
  }
  if (!ended) throw new Error("the answer was broken off");
  const whole = before === null ? "no score" : shown(before);
  $("summary").textContent = "Score of the whole trace: " + whole + " (" + count + (count === 1 ? " segment" : " segments")
    + (missing ? ", " + missing + " without a score" : "") + ")";
  say("done");
}

async function verify() {
  const { score } = await (await ask("/v1/verify", {})).json();
  say(score === null ? "The answer could not be verified." : score === 1 ? "The final answer is right." : "The final answer is wrong.");
}

async function run(work) {
  if (!form.reportValidity()) return;
  for (const button of form.querySelectorAll("button")) button.disabled = true;
  say("asking …");
  try {
    await work();
  } catch (error) {
    say(error instanceof TypeError ? "The server cannot be reached." : error.message, true);
    $("result").hidden = list.childElementCount === 0;
  } finally {
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  }
}

form.addEventListener("submit", (event) => { event.preventDefault(); run(score); });
$("verify").addEventListener("click", () => run(verify));
