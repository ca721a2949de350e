// The arrows of the side bar have no words of their own.
for (const one of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
  const link = one.closest("li")?.querySelector(":scope > a");
  one.setAttribute("aria-label", `Pages under ${link?.textContent.trim() ?? "this"}`);
}
