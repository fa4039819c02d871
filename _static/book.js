// The theme's arrows that unfold a part of the contents have no words; give them some for those who do not see them.
document.addEventListener("DOMContentLoaded", () => {
  for (const arrow of document.querySelectorAll(".bd-links summary")) {
    const link = arrow.closest("li")?.querySelector("a");
    if (!arrow.textContent.trim() && link) arrow.setAttribute("aria-label", `Pages below ${link.textContent.trim()}`);
  }
});
