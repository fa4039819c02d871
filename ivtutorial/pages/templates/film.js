"use strict";
// Clips in a reel play by themselves while it is in view, all on one clock, unless the reader's system asks for little
// motion. One button stops and starts them, and the slider goes frame by frame. A reel in a reel follows the outer one.
for (const reel of document.querySelectorAll(".reel:not([data-ready])")) {
  const bar = reel.querySelector(":scope > .reel-bar");
  if (!bar) { continue; }  // the page is still being read
  reel.dataset.ready = "";
  if (reel.parentElement.closest(".reel")) { continue; }
  const films = [...reel.querySelectorAll(".film")], [button, slider, clock] = bar.children;
  const count = Math.max(...films.map(film => +film.dataset.frames)), fps = +films[0].dataset.fps;
  let frame = 0, moving = !matchMedia("(prefers-reduced-motion: reduce)").matches, seen = false, timer = 0;
  const show = (next) => {
    frame = next;
    reel.style.setProperty("--frame", frame);
    slider.value = frame;
    clock.textContent = `frame ${frame}, ${(frame / fps).toFixed(2)} s`;
  };
  const run = () => {
    clearInterval(timer);
    timer = moving && seen ? setInterval(() => show((frame + 1) % count), 1000 / fps) : 0;
    button.textContent = moving ? "Pause" : "Play";
  };
  button.onclick = () => { moving = !moving; run(); };
  slider.oninput = () => { moving = false; show(+slider.value); run(); };
  slider.max = count - 1;
  new IntersectionObserver((entries) => { seen = entries.at(-1).isIntersecting; run(); }).observe(reel);
  show(0);
  run();
  bar.hidden = false;
}
// The slider, and the pointer on the picture itself, wipe from before to after.
for (const wipe of document.querySelectorAll(".wipe:not([data-ready])")) {
  if (!wipe.nextElementSibling) { continue; }
  wipe.dataset.ready = "";
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
