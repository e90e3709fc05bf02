// What is shown, in the address: ?span= &tab= &detail= &zoom= &find= &only= &path= &idle= &at= &among=

const TABS = ["waterfall", "sequence", "statistics", "events"];

export function readAddress() {
  const query = new URL(location.href).searchParams;
  const zoom = /^(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)$/.exec(query.get("zoom") ?? "");
  const range = zoom && [Number(zoom[1]) * 1e6, Number(zoom[2]) * 1e6];
  return {
    span: query.get("span"),
    tab: TABS.includes(query.get("tab")) ? query.get("tab") : "waterfall",
    detail: query.get("detail"),
    zoom: range && range[1] > range[0] ? range : null,
    find: query.get("find") ?? "",
    only: query.get("only") === "1",
    path: query.get("path") === "1",
    idle: query.get("idle") === "1",
    at: /^\d+(\.\d+)?$/.test(query.get("at") ?? "") ? Math.round(Number(query.get("at")) * 1e6) : null,
    among: query.get("among") ?? "",
  };
}

export function writeAddress(state) {
  const url = new URL(location.href);
  const milliseconds = (nanoseconds) => String(Number((nanoseconds / 1e6).toFixed(6)));
  const values = {
    new: null,
    span: state.span,
    tab: state.tab === "waterfall" ? null : state.tab,
    detail: state.span ? state.detail : null,
    zoom: state.zoom && state.zoom.map(milliseconds).join("-"),
    find: state.find,
    only: state.only ? "1" : null,
    path: state.path ? "1" : null,
    idle: state.idle ? "1" : null,
    at: state.at === null ? null : milliseconds(state.at),
    among: state.at === null ? null : state.among,
  };
  for (const [name, value] of Object.entries(values)) {
    if (value) url.searchParams.set(name, value);
    else url.searchParams.delete(name);
  }
  if (url.href !== location.href) history.replaceState(null, "", url);
}
