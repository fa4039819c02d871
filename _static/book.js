// The theme's arrows that unfold a part of the contents have no words; give them some for those who do not see them.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll(".bd-links summary")) {
    const link = arrow.closest("li")?.querySelector("a");
    if (!arrow.textContent.trim() && link) arrow.setAttribute("aria-label", `Pages below ${link.textContent.trim()}`);
  }
});

// A figure or formula that is wider than a phone scrolls in its own box; give the box a place in the order of the keys.
const reachable = () => {
  for (const box of document.querySelectorAll(".bd-article :is(.cell_output, .text_html, section > figure)")) {
    if (box.scrollWidth > box.clientWidth + 1) box.tabIndex = 0;
    else box.removeAttribute("tabindex");
  }
};
addEventListener("load", reachable);
addEventListener("resize", reachable);
