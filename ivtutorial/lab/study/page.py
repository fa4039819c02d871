"""The page of a study: one HTML file that asks nobody but the server it came from, and works by keys alone."""

from __future__ import annotations

from string import Template

from ivtutorial.pages.style import STYLE

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Which clip is better?</title><link rel="icon" href="data:,"><style>$style
main { max-width: 56rem; }
h1 { outline: none; margin: .4rem 0; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; }
.two video { width: 100%; display: block; border-radius: 4px; background: var(--card); }
.two video.small { image-rendering: pixelated; }
.choose { display: grid; grid-template-columns: 1fr 1fr 1fr; gap: .5rem; margin: 1rem 0 0; }
.choose button { min-height: 3.2rem; margin: 0; }
.choose button.chosen { border: 3px solid var(--mark); }
button:disabled { opacity: .5; }
button:focus-visible, input:focus-visible { outline: 3px solid var(--mark); outline-offset: 2px; }
input { font: inherit; padding: .35rem .6rem; max-width: 100%; }
progress { width: 100%; accent-color: var(--mark); }
.soft { color: var(--soft); font-size: .9rem; }
#wrong { color: #b3261e; font-weight: 600; }
@media (prefers-color-scheme: dark) { #wrong { color: #ffb4ab; } }
[hidden] { display: none !important; }
</style></head><body><main>
<form id="start"><h1>Which clip is better?</h1>
<p>You will see two clips at a time, made from the same text. Answer two questions about each pair: which clip looks
better, and which fits the text better. There are no right answers, and a tie is one, too. Everything can be done with
the keys: <b>&larr;</b> left, <b>&darr;</b> tie, <b>&rarr;</b> right, <b>&uarr;</b> stop or play, <b>Backspace</b>
the question before.</p>
<p>Each answer is kept at once. Close the page whenever you like; the same name goes on where it stopped.</p>
<p><label>Your name or initials <input id="name" required maxlength="40" autocomplete="off"></label></p>
<button type="submit">Begin</button></form>
<section id="ask" hidden aria-labelledby="question">
<p class="soft"><span id="count" aria-live="off"></span></p>
<progress id="bar" aria-label="Questions answered"></progress>
<h1 id="question" tabindex="-1"></h1>
<p class="lead" id="prompt"></p>
<div class="two">
<figure><video id="left" loop muted playsinline aria-label="The clip on the left"></video>
<figcaption>Left</figcaption></figure>
<figure><video id="right" loop muted playsinline aria-label="The clip on the right"></video>
<figcaption>Right</figcaption></figure></div>
<div class="choose" role="group" aria-label="Your answer">
<button type="button" data-choice="left">&larr; Left</button>
<button type="button" data-choice="tie">&darr; Tie</button>
<button type="button" data-choice="right">Right &rarr;</button></div>
<p><button type="button" id="play">Stop &uarr;</button>
<button type="button" id="back">Question before</button></p></section>
<section id="done" hidden><h1 id="thanks" tabindex="-1">Done. Thank you!</h1>
<p>All your answers are kept. You may close this page.</p>
<button type="button" id="again">Look at the last question again</button></section>
<p id="wrong" role="alert"></p></main>
<script>
"use strict";
const $$ = id => document.getElementById(id), videos = [$$("left"), $$("right")];
let rater = "", now = null, shown = 0, busy = false;
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
try { $$("name").value = localStorage.getItem("rater") || ""; } catch (e) { /* no storage: type the name again */ }

async function ask(path, body) {
  const answer = await fetch(path, body && {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body)}).catch(() => null);
  if (!answer) throw Error("No connection: is the program still running? Your last answer may not be kept.");
  const found = await answer.json();
  if (!answer.ok) throw Error(found.error);
  return found;
}
async function step(path, body) {
  if (busy) return;
  busy = true;
  $$("wrong").textContent = "";
  try { show(await ask(path, body)); } catch (e) { $$("wrong").textContent = e.message; }
  busy = false;
}
function show(found) {
  now = found;
  const done = found.place === found.places;
  $$("start").hidden = true; $$("ask").hidden = done; $$("done").hidden = !done;
  if (done) { videos.forEach(v => v.pause()); $$("thanks").focus(); return; }
  $$("count").textContent = `Pair $${found.pair} of $${found.pairs}`;
  $$("bar").max = found.places; $$("bar").value = found.answered;
  $$("bar").textContent = `$${found.answered} of $${found.places}`;
  $$("question").textContent = found.question;
  $$("prompt").textContent = found.prompt;
  $$("back").disabled = found.place === 0;
  document.querySelectorAll("[data-choice]").forEach(b => {
    b.classList.toggle("chosen", b.dataset.choice === found.given);
    b.setAttribute("aria-pressed", b.dataset.choice === found.given);
  });
  if (videos[0].src !== found.left || videos[1].src !== found.right) {
    videos[0].src = found.left; videos[1].src = found.right;
    play(!still);
  }
  shown = performance.now();
  $$("question").focus({preventScroll: true});
}
function play(on) {
  videos.forEach(v => { if (on) { v.currentTime = 0; v.play().catch(() => {}); } else v.pause(); });
  $$("play").textContent = on ? "Stop \\u2191" : "Play \\u2191";
}
const playing = () => videos.some(v => !v.paused);
const look = place =>
  step(`question?rater=$${encodeURIComponent(rater)}` + (place === undefined ? "" : `&place=$${place}`));
function choose(choice) {
  if (now && !$$("ask").hidden && performance.now() - shown > 200)
    step("answer", {rater, place: now.place, choice, seconds: (performance.now() - shown) / 1000});
}
const back = () => { if (now && now.place > 0) look(now.place - 1); };
videos.forEach(v => v.addEventListener("loadedmetadata", () => v.classList.toggle("small", v.videoWidth < 160)));
$$("start").addEventListener("submit", event => {
  event.preventDefault();
  rater = $$("name").value;
  try { localStorage.setItem("rater", rater); } catch (e) { /* see above */ }
  look();
});
document.querySelectorAll("[data-choice]").forEach(b => b.addEventListener("click", () => choose(b.dataset.choice)));
$$("play").addEventListener("click", () => play(!playing()));
$$("back").addEventListener("click", back);
$$("again").addEventListener("click", back);
const keys = {ArrowLeft: () => choose("left"), ArrowDown: () => choose("tie"), ArrowRight: () => choose("right"),
  ArrowUp: () => play(!playing()), Backspace: back};
document.addEventListener("keydown", event => {
  if (!$$("start").hidden || !keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (!event.repeat) keys[event.key]();
});
</script></body></html>
""").substitute(style=STYLE)
