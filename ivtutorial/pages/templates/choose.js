// The onclick of a group of questions about pairs: a button picks a letter, goes back, starts again or plays.
// Everything lies in the group, so that it needs neither kernel nor other files and groups do not disturb each other.
// data-choose: {questions, about, shares | left}; data-picked: the letters so far.
const button = event.target.closest("button");
if (button) {
  const data = JSON.parse(this.dataset.choose), count = data.questions.length;
  const pairs = [...this.querySelectorAll("[data-pair]")], part = name => this.querySelector(`[data-${name}]`);
  const letters = {again: () => "", back: p => p.slice(0, -1), play: p => p}[button.value] || (p => p + button.value);
  const picked = this.dataset.picked = letters(this.dataset.picked), now = Math.floor(picked.length / count);
  const done = picked.length === pairs.length * count;
  pairs.forEach((pair, k) => {
    pair.style.display = (done ? data.shares : k === now) ? "block" : "none";
    pair.querySelectorAll("video").forEach(video => { if (done || k !== now) video.pause(); });
    pair.querySelectorAll("button").forEach(one => {
      one.disabled = done;
      one.style.borderStyle = done && one.value !== picked[k] ? "dotted" : "solid";
    });
    if (data.shares) pair.querySelector("output").textContent = !done ? "" :
      `You chose ${picked[k]}. Of 100 annotators, ${data.shares[k]} choose X and ${100 - data.shares[k]} choose Y.`;
  });
  part("question").textContent = done ? "Done." :
    `Pair ${now + 1} of ${pairs.length}: ${data.questions[picked.length % count]}`;
  part("end").style.display = done ? "block" : "none";
  if (part("ask")) part("ask").style.display = done ? "none" : "block";
  if (done) {
    part("letters").textContent = picked;
    part("result").textContent = data.shares ? agreement(data.shares, picked) : wins(data, picked);
  } else if (button.value === "play" || (picked.length % count === 0 && part("ask") && button.value !== "back")) {
    pairs[now].querySelectorAll("video").forEach(video => { video.currentTime = 0; video.play().catch(() => {}); });
  }
  const next = !done && pairs[now].querySelector("button");
  if (next) next.focus({preventScroll: true});
}
function agreement(shares, picked) {
  const sided = shares.filter((share, k) => share !== 50 && (share > 50) === (picked[k] === "X")).length;
  const expected = shares.reduce((sum, share) => sum + Math.max(share, 100 - share), 0) / 100;
  return `You side with most annotators in ${sided} of ${shares.length} pairs. ` +
    `A single annotator is expected to do so in ${expected.toFixed(1)}.`;
}
function wins(data, picked) {
  return data.about.map((name, j) => {
    const counts = {X: 0, T: 0, Y: 0};
    data.left.forEach((left, k) => {
      const letter = picked[k * data.about.length + j];
      counts[letter === "T" ? "T" : (letter === "L") === (left === "Y") ? "Y" : "X"]++;
    });
    return `${name}: Y won ${counts.Y}, ties ${counts.T}, X won ${counts.X}`;
  }).join("; ") + ".";
}
