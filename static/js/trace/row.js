// One row of the waterfall: made once, filled again and again with what is to be seen there.

import { BELOW, ERRORS, FAILED, OPEN } from "./data.js";
import { GROUP, SPAN } from "./outline.js";
import { count, drawn, duration, element } from "./words.js";

const MAX_INDENT = 14;
const MAX_GROUP_BARS = 60;
const LEAST = 0.0015;
const TAIL = 7;

export function makeRow() {
  const row = element("tr");
  row.setAttribute("role", "row");
  row.tabIndex = -1;
  const name = element("td", "w-name");
  const fold = element("button", "fold");
  fold.type = "button";
  fold.tabIndex = -1;
  fold.dataset.fold = "";
  const deep = element("span", "deep");
  const link = element("a", "w-link");
  link.tabIndex = -1;
  const title = element("b");
  const actor = element("span", "actor-id");
  actor.append(element("span", "head"), element("span", "tail"));
  const kind = element("span", "kind");
  const error = element("span", "err");
  link.append(title, kind, error, actor);
  const attempts = element("button", "kind attempts");
  attempts.type = "button";
  attempts.tabIndex = -1;
  attempts.dataset.attempts = "";
  name.append(fold, deep, link, attempts);
  const took = element("td", "w-dur");
  const axis = element("td", "w-axis");
  const bars = drawn("svg", { class: "bars", "aria-hidden": "true" });
  axis.append(bars);
  for (const cell of [name, took, axis]) cell.setAttribute("role", "gridcell");
  row.append(name, took, axis);
  row.parts = { name, fold, deep, link, title, actor, kind, error, attempts, took, bars };
  return row;
}

export function fillRow(row, place, view) {
  const { trace, outline } = view;
  const at = outline.rows[place];
  const sub = outline.subs[place];
  const { parts } = row;
  const group = sub === GROUP ? outline.groupAt(at) : null;
  const expandable = sub === GROUP || (sub === SPAN && outline.expandable(at));
  const expanded = sub === GROUP ? outline.openGroups.has(trace.ids[at]) : expandable && outline.expanded(at);
  const failed = sub === SPAN && trace.has(at, FAILED);
  const selected = sub === SPAN && trace.ids[at] === view.selected;

  row.place = place;
  row.id = sub === SPAN ? `s-${trace.ids[at]}` : "";
  row.dataset.span = trace.ids[at];
  row.className = `c${trace.colour[at]}`;
  row.classList.toggle("failed", failed || (sub >= 0 && trace.attempts(at)[sub]?.error >= 0));
  row.classList.toggle("selected", selected);
  row.classList.toggle("match", sub === SPAN && Boolean(view.matches?.has(at)));
  row.classList.toggle("beside", sub === SPAN && Boolean(outline.only && view.matches && !view.matches.has(at)));
  row.classList.toggle("sub", sub !== SPAN);
  row.setAttribute("aria-level", outline.levels[place]);
  row.setAttribute("aria-rowindex", trace.first + place + 2);
  row.setAttribute("aria-selected", String(selected));
  if (expandable) row.setAttribute("aria-expanded", String(expanded));
  else row.removeAttribute("aria-expanded");
  row.tabIndex = place === view.active ? 0 : -1;

  const indent = outline.levels[place] - 1;
  parts.name.className = `w-name i${Math.min(indent, MAX_INDENT)}`;
  // Where the indent ends, a number goes on.
  parts.deep.hidden = indent <= MAX_INDENT;
  parts.deep.textContent = indent > MAX_INDENT ? String(indent + 1) : "";
  parts.fold.classList.toggle("leaf", !expandable);
  parts.fold.disabled = !expandable;
  parts.fold.setAttribute("aria-label", expanded ? "Collapse" : "Expand");
  mark(parts, sub === SPAN ? trace.flags[at] : 0);
  if (view.address && sub === SPAN) parts.link.href = `${view.address}spans/${trace.ids[at]}/`;
  else parts.link.removeAttribute("href");
  words(parts, trace, at, sub, group);
  const tries = trace.attempts(at);
  parts.attempts.hidden = sub !== SPAN || tries.length < 2;
  if (tries.length > 1) {
    parts.attempts.textContent = tried(tries);
    parts.attempts.setAttribute("aria-expanded", String(outline.openAttempts.has(trace.ids[at])));
  }
  drawBars(row, view);
}

// Going on after a wait is not another attempt.
function tried(parts) {
  const waits = parts.filter((each) => each.waits).length;
  const attempts = parts.length - waits + (parts.at(-1).waits ? 1 : 0);
  if (attempts > 1) return `${count(attempts)} attempts`;
  return waits > 1 ? `waited ${count(waits)}×` : "waited";
}

// The end of a name stays to be seen where there is no room for all of it.
function ends(box, text) {
  let at = Math.max(0, text.length - TAIL);
  if (/[\udc00-\udfff]/.test(text[at] ?? "")) at -= 1;
  box.firstChild.textContent = text.slice(0, Math.max(0, at));
  box.lastChild.textContent = text.slice(Math.max(0, at));
}

function words(parts, trace, at, sub, group) {
  const kind = trace.kindOf(at);
  if (sub >= 0) {
    const attempt = trace.attempts(at)[sub];
    const onward = trace.attempts(at)[sub - 1]?.waits;
    parts.title.textContent = `attempt ${attempt.number || sub + 1}${onward ? ", went on" : ""}`;
    ends(parts.actor, "");
    parts.error.textContent = attempt.error < 0 ? "" : trace.strings[attempt.error];
    parts.kind.textContent = attempt.waits ? "until it waited" : "";
    parts.took.textContent = attempt.end < 0 ? "…" : duration(attempt.end - attempt.start);
  } else if (group) {
    parts.title.textContent = `${count(group.members.length)} × ${trace.nameOf(at)}`;
    ends(parts.actor, trace.typeOf(at));
    parts.error.textContent = "";
    parts.kind.textContent = kind === "message" ? "" : kind;
    const last = Math.max(...group.members.slice(0, 5_000).map((row) => trace.start[row] + trace.took[row]));
    parts.took.textContent = duration(last - trace.start[at]);
  } else {
    parts.title.textContent = trace.nameOf(at);
    ends(parts.actor, trace.actorOf(at));
    parts.error.textContent = trace.errorText(at);
    parts.kind.textContent = kind === "message" ? "" : kind;
    parts.took.textContent = `${duration(trace.took[at])}${trace.has(at, OPEN) ? "…" : ""}`;
  }
  parts.kind.hidden = !parts.kind.textContent;
  parts.error.hidden = !parts.error.textContent;
  parts.link.title = `${parts.title.textContent} ${parts.actor.textContent} ${parts.error.textContent}`.trim();
}

const MARKS = {
  own: ["failed", "M8 1 15.5 14.5H.5z"],
  tried: ["failed attempts", "M8 2.5 14.2 13.7H1.8z"],
  below: ["a failure below", "M8 2.5 14.2 13.7H1.8z"],
};

function mark(parts, flags) {
  const kind = flags & FAILED ? "own" : flags & ERRORS ? "tried" : flags & BELOW ? "below" : "";
  if (parts.marked === kind) return;
  parts.marked = kind;
  parts.mark?.remove();
  parts.mark = null;
  if (!kind) return;
  const [label, path] = MARKS[kind];
  parts.mark = drawn("svg", { class: `mark ${kind === "own" ? "own" : "below"}`, viewBox: "0 0 16 16", role: "img", "aria-label": label });
  parts.mark.append(drawn("path", { d: path }));
  parts.fold.after(parts.mark);
}

export function drawBars(row, view) {
  const { trace, outline, scale } = view;
  const at = outline.rows[row.place];
  const sub = outline.subs[row.place];
  let used = 0;
  const { bars } = row.parts;
  const put = (kind, start, end) => {
    const from = scale.x(start);
    const to = scale.x(end);
    if (to < 0 || from > 1) return;
    const left = Math.min(Math.max(from, -0.01), 1 - LEAST);
    const width = Math.max(Math.min(to, 1.01) - left, LEAST);
    const rect = bars.children[used] ?? bars.appendChild(drawn("rect"));
    used += 1;
    rect.setAttribute("class", kind);
    rect.setAttribute("x", `${(left * 100).toFixed(3)}%`);
    rect.setAttribute("width", `${(width * 100).toFixed(3)}%`);
  };
  for (const [start, end] of scale.gaps) put("gap", start, end);
  if (sub === GROUP) {
    const { members } = outline.groupAt(at);
    const step = Math.ceil(members.length / MAX_GROUP_BARS);
    for (let n = 0; n < members.length; n += step) {
      put("handling many", trace.start[members[n]], trace.start[members[n]] + trace.took[members[n]]);
    }
  } else if (sub >= 0) {
    const attempt = trace.attempts(at)[sub];
    const end = attempt.end < 0 ? trace.took[at] : attempt.end;
    put(attempt.end < 0 ? "open" : "handling", trace.start[at] + attempt.start, trace.start[at] + end);
  } else {
    for (const [kind, start, end] of trace.bars(at)) put(kind, start, end);
    for (const [start, end] of view.path?.get(at + trace.first) ?? []) put("critical", start, end);
  }
  while (bars.children.length > used) bars.lastChild.remove();
}
