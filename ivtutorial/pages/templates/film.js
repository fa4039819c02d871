"use strict";
// Clips play by themselves, all on one clock, unless the reader's system asks for little motion.
const root = document.documentElement, button = document.getElementById("play");
let moving = !matchMedia("(prefers-reduced-motion: reduce)").matches;
function show() {
  root.classList.toggle("moving", moving);
  root.classList.toggle("still", !moving);
  button.textContent = moving ? "Pause the clips" : "Play the clips";
}
button.hidden = false;
button.onclick = () => { moving = !moving; show(); };
show();
for (const film of document.getAnimations()) { film.startTime = 0; }
// The slider, and the pointer on the picture itself, wipe from before to after.
for (const wipe of document.querySelectorAll(".wipe")) {
  const slider = wipe.nextElementSibling.querySelector("input"), set = (at) => wipe.style.setProperty("--at", at + "%");
  slider.oninput = () => set(slider.value);
  wipe.onpointermove = (event) => {
    if (event.pointerType === "mouse" || event.buttons) {
      const box = wipe.getBoundingClientRect();
      slider.value = 100 * (event.clientX - box.left) / box.width;
      set(slider.value);
    }
  };
}
