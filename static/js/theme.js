// Loaded before the first paint, so that the chosen theme does not flash. Not a module for that reason.
(() => {
  try {
    const theme = localStorage.getItem("loom-theme");
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // Storage may be forbidden; the system's theme is used then.
  }
})();
