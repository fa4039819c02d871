"use strict";
const $ = id => document.getElementById(id), videos = [$("left"), $("right")];
let rater = "", now = null, shown = 0, busy = false;
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
try { $("name").value = localStorage.getItem("rater") || ""; } catch (e) { /* no storage: type the name again */ }

async function ask(path, body) {
  const answer = await fetch(path, body && {method: "POST", headers: {"Content-Type": "application/json"},
    body: JSON.stringify(body)}).catch(() => null);
  if (!answer) throw Error("No connection: is the program still running? Your last answer may not be kept.");
  const result = await answer.json();
  if (!answer.ok) throw Error(result.error);
  return result;
}
async function step(path, body) {
  if (busy) return;
  busy = true;
  $("wrong").textContent = "";
  try { show(await ask(path, body)); } catch (e) { $("wrong").textContent = e.message; }
  busy = false;
}
function show(question) {
  now = question;
  const done = question.place === question.places;
  $("start").hidden = true; $("ask").hidden = done; $("done").hidden = !done;
  if (done) { videos.forEach(v => v.pause()); $("thanks").focus(); return; }
  $("count").textContent = `Pair ${question.pair} of ${question.pairs}`;
  $("bar").max = question.places; $("bar").value = question.answered;
  $("bar").textContent = `${question.answered} of ${question.places}`;
  $("question").textContent = question.question;
  $("prompt").textContent = question.prompt;
  $("back").disabled = question.place === 0;
  document.querySelectorAll("[data-choice]").forEach(b => {
    b.classList.toggle("chosen", b.dataset.choice === question.given);
    b.setAttribute("aria-pressed", b.dataset.choice === question.given);
  });
  if (videos[0].src !== question.left || videos[1].src !== question.right) {
    videos[0].src = question.left; videos[1].src = question.right;
    play(!still);
  }
  shown = performance.now();
  $("question").focus({preventScroll: true});
}
function play(on) {
  videos.forEach(v => { if (on) { v.currentTime = 0; v.play().catch(() => {}); } else v.pause(); });
  $("play").textContent = on ? "Stop \u2191" : "Play \u2191";
}
const playing = () => videos.some(v => !v.paused);
const look = place =>
  step(`question?rater=${encodeURIComponent(rater)}` + (place === undefined ? "" : `&place=${place}`));
function choose(choice) {
  if (now && !$("ask").hidden && performance.now() - shown > 200)
    step("answer", {rater, place: now.place, choice, seconds: (performance.now() - shown) / 1000});
}
const back = () => { if (now && now.place > 0) look(now.place - 1); };
videos.forEach(v => v.addEventListener("loadedmetadata", () => v.classList.toggle("small", v.videoWidth < 160)));
$("start").addEventListener("submit", event => {
  event.preventDefault();
  rater = $("name").value;
  try { localStorage.setItem("rater", rater); } catch (e) { /* see above */ }
  look();
});
document.querySelectorAll("[data-choice]").forEach(b => b.addEventListener("click", () => choose(b.dataset.choice)));
$("play").addEventListener("click", () => play(!playing()));
$("back").addEventListener("click", back);
$("again").addEventListener("click", back);
const keys = {ArrowLeft: () => choose("left"), ArrowDown: () => choose("tie"), ArrowRight: () => choose("right"),
  ArrowUp: () => play(!playing()), Backspace: back};
document.addEventListener("keydown", event => {
  if (!$("start").hidden || !keys[event.key] || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (!event.repeat) keys[event.key]();
});
