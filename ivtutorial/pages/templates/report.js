"use strict";
// Without the script every clip still has its own controls. With it clips play by themselves, unless the
// reader's system is set to little motion.
const clips = [...document.querySelectorAll("video")], button = document.getElementById("all");
let on = false;
function all(play) {
  on = play;
  for (const clip of clips) {
    if (play) { clip.currentTime = 0; clip.play().catch(() => {}); } else { clip.pause(); }
  }
  button.textContent = play ? "Pause all clips" : "Play all clips";
}
button.hidden = false;
button.onclick = () => all(!on);
if (!matchMedia("(prefers-reduced-motion: reduce)").matches) { all(true); }
