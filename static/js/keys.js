// Keys that every page has. Those of the trace page are its own.

const OPENS = "main .row-link";

function visible(element) {
  return element.getClientRects().length > 0;
}

// Moves the focus to the next or previous row of the lists on the page.
function step(by) {
  const links = [...document.querySelectorAll(OPENS)].filter(visible);
  if (!links.length) return;
  const at = links.indexOf(document.activeElement);
  const to = at < 0 ? (by > 0 ? 0 : links.length - 1) : Math.min(links.length - 1, Math.max(0, at + by));
  links[to].focus();
  links[to].closest("tr")?.scrollIntoView({ block: "nearest" });
}

function help() {
  (document.getElementById("help") ?? document.getElementById("keys")).showModal();
}

const ACTIONS = {
  j: () => step(1),
  k: () => step(-1),
  "?": help,
};

export function listenForKeys() {
  document.querySelector("[data-keys]")?.addEventListener("click", help);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    if (event.key === "/") {
      const find = document.querySelector("[data-find]") ?? document.querySelector(".jump input");
      if (find) {
        event.preventDefault();
        find.focus();
      }
      return;
    }
    // A page with keys of its own has its own help.
    const action = document.getElementById("help") ? undefined : ACTIONS[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
