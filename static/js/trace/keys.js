// Keys of the trace page. Those of typing in a field stay with the field.

export function listen(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input:not([type=range]), select, textarea, dialog")) return;
    const action = actions[event.key];
    const place = event.target;
    if (!action) return;
    const moves = event.key.startsWith("Arrow") || ["Home", "End", "PageUp", "PageDown"].includes(event.key);
    // What has keys of its own keeps them.
    if (moves && place.closest("#panel, .view:not(#view-waterfall), [role=tab]")) return;
    if (event.key === "Enter" && place.closest("a, button, summary")) return;
    event.preventDefault();
    action(event);
  });
}
