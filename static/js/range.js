// The time range that was chosen goes along to the other pages, through the links of the header.

const KEY = "loom-since";

function chosen() {
  const since = new URLSearchParams(location.search).get("since");
  try {
    if (since !== null) sessionStorage.setItem(KEY, since);
    return since ?? sessionStorage.getItem(KEY) ?? "";
  } catch {
    return since ?? "";
  }
}

function carry() {
  const since = chosen();
  for (const link of document.querySelectorAll("[data-ranged]")) {
    const address = new URL(link.href);
    if (since) address.searchParams.set("since", since);
    else address.searchParams.delete("since");
    link.href = address;
  }
}

export function keepRange() {
  carry();
  document.addEventListener("htmx:pushedIntoHistory", carry);
}
