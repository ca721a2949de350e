// The arrows of the side bar have no words of their own.
for (const one of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
  const link = one.closest("li")?.querySelector(":scope > a");
  one.setAttribute("aria-label", `Pages under ${link?.textContent.trim() ?? "this"}`);
}
// Where a phone is too narrow for a formula, it scrolls: so it must be reached by the keyboard too.
for (const one of document.querySelectorAll(".bd-article dd span.math")) {
  if (one.scrollWidth > one.clientWidth && getComputedStyle(one).overflowX === "auto") {
    one.tabIndex = 0;
    one.setAttribute("role", "group");
    one.setAttribute("aria-label", "formula");
  }
}
