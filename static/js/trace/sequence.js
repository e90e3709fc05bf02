// Who sent what to whom, in order: actors as lifelines, messages as arrows.

import { FAILED } from "./data.js";
import { count, drawn, duration, element } from "./words.js";

export const MAX_MESSAGES = 500;
const MAX_LINES = 24;
const LINE = 150;
const STEP = 30;
const LEFT = 96;

export function drawSequence(box, view, select) {
  const { trace } = view;
  const messages = [];
  let all = 0;
  for (let row = 0; row < trace.length; row += 1) {
    if (trace.kindOf(row) !== "message") continue;
    all += 1;
    messages.push(row);
  }
  messages.sort((one, other) => trace.start[one] - trace.start[other] || one - other);
  messages.length = Math.min(messages.length, MAX_MESSAGES);
  if (!messages.length) {
    box.replaceChildren(element("p", "muted seq-note", "There are no messages in this trace."));
    return;
  }
  const { lines, lineOf } = lifelines(trace, messages);
  const width = LEFT + lines.length * LINE;
  const height = messages.length * STEP + 24;
  const svg = drawn("svg", { class: "sequence", width, height, role: "group", "aria-label": "Messages between actors, in order" });
  lines.forEach((line, at) => {
    svg.append(drawn("line", { class: `life c${line.colour}`, x1: x(at), x2: x(at), y1: 0, y2: height }));
  });
  messages.forEach((row, at) => svg.append(arrow(view, row, at, lineOf, select)));

  const head = element("div", "seq-head");
  head.style.inlineSize = `${width}px`;
  head.append(element("span", "seq-time muted", "sent after"));
  lines.forEach((line) => {
    const name = element("span", `seq-actor c${line.colour}`);
    name.append(element("b", "", line.type), element("span", "actor-id", line.key));
    name.title = `${line.type} ${line.key}`;
    head.append(name);
  });
  const scroll = element("div", "seq-scroll");
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", "Sequence");
  scroll.append(head, svg);
  const before = box.querySelector(".seq-scroll");
  const [left, top] = before ? [before.scrollLeft, before.scrollTop] : [0, 0];
  box.replaceChildren(...notes(trace, all, lines), scroll);
  scroll.scrollTo(left, top);
  if (box.dataset.selected !== String(view.selected)) {
    box.dataset.selected = String(view.selected);
    svg.querySelector(".selected")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }
}

const x = (line) => LEFT + line * LINE + LINE / 2;

function notes(trace, all, lines) {
  const said = [];
  if (all > MAX_MESSAGES) said.push(`The first ${count(MAX_MESSAGES)} of ${count(all)} messages are drawn.`);
  if (!trace.whole) said.push(`They are those of rows ${count(trace.first + 1)} to ${count(trace.first + trace.length)} of ${count(trace.total)}.`);
  if (lines.some((line) => line.many)) said.push("There are many actors: each line stands for all of its type.");
  return said.length ? [element("p", "notice quiet", said.join(" "))] : [];
}

function lifelines(trace, messages) {
  // What starts a run is outside of it, as a web request is.
  const senders = (row) => {
    const above = trace.parent[row];
    return above >= 0 && ["message", "activity"].includes(trace.kindOf(above)) ? trace.actorOf(above) : "";
  };
  const build = (keyOf) => {
    const lines = new Map();
    for (const row of messages) {
      for (const actor of [senders(row), trace.actorOf(row)]) {
        const key = keyOf(actor);
        if (!lines.has(key)) lines.set(key, { at: lines.size, actors: new Set() });
        lines.get(key).actors.add(actor);
      }
    }
    return lines;
  };
  const byType = (actor) => actor.split("/", 1)[0];
  let keyOf = (actor) => actor;
  let found = build(keyOf);
  const many = found.size > MAX_LINES;
  if (many) found = build((keyOf = byType));
  const types = new Map(trace.doc.types.map((type, at) => [type, at]));
  const lines = [...found].map(([key, { actors }]) => {
    const [type] = key.split("/", 1);
    const rest = many ? (actors.size > 1 ? `${count(actors.size)} actors` : [...actors][0].slice(type.length + 1)) : key.slice(type.length + 1);
    return { type: key ? type : "outside", key: key ? rest : "", colour: types.get(type) ?? 0, many: many && actors.size > 1 };
  });
  const place = (actor) => found.get(keyOf(actor)).at;
  return { lines, lineOf: { from: (row) => place(senders(row)), to: (row) => place(trace.actorOf(row)) } };
}

function arrow(view, row, at, lineOf, select) {
  const { trace } = view;
  const y = 20 + at * STEP;
  const [from, to] = [x(lineOf.from(row)), x(lineOf.to(row))];
  const failed = trace.has(row, FAILED);
  const name = trace.nameOf(row);
  const error = trace.errorText(row);
  const link = drawn("a", {
    class: `message c${trace.colour[row]}${failed ? " failed" : ""}${trace.ids[row] === view.selected ? " selected" : ""}`,
    href: `?span=${trace.ids[row]}&tab=sequence`,
    "data-span": trace.ids[row],
  });
  link.addEventListener("click", (event) => {
    if (event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    select(trace.ids[row]);
  });
  link.append(drawn("rect", { class: "hit", x: 0, y: y - STEP / 2 - 3, width: "100%", height: STEP }));
  const text = (where, y_, words, kind, anchor) => {
    const made = drawn("text", { x: where, y: y_, class: kind, "text-anchor": anchor });
    made.textContent = words;
    link.append(made);
  };
  text(8, y + 4, duration(trace.start[row]), "at", "start");
  const short = (words, room) => (words.length > room ? `${words.slice(0, room - 1)}…` : words);
  const whole = drawn("title");
  whole.textContent = `${name} to ${trace.actorOf(row)}${error ? `, ${error}` : ""}`;
  link.append(whole);
  const label = `${failed ? "▲ " : ""}${name}${error ? ` · ${error}` : ""}`;
  if (from === to) {
    link.append(drawn("path", { class: "shaft", d: `M${from} ${y - 4}h22v9h-17` }));
    link.append(drawn("path", { class: "head", d: `M${from + 1} ${y + 5}l7 -3.5v7z` }));
    text(from + 28, y + 3, short(label, 18), "what", "start");
  } else {
    const way = Math.sign(to - from);
    link.append(drawn("path", { class: "shaft", d: `M${from} ${y + 3}H${to - 7 * way}` }));
    link.append(drawn("path", { class: "head", d: `M${to - way} ${y + 3}l${-8 * way} -4v8z` }));
    text((from + to) / 2, y - 3, short(label, Math.floor(Math.abs(to - from) / 7)), "what", "middle");
  }
  return link;
}
