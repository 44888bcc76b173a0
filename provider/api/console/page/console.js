// The state of the page: how it is kept up to date, and drawn when it changes.

import { askForToken, confirmed, showKeys, toast } from "./actions.js";
import { get, listen, Problem, token } from "./api.js";
import { condition, drawDetail } from "./detail.js";
import { byId, el, put } from "./dom.js";
import { drawList, VIEWS } from "./list.js";
import { ago, left, sign } from "./words.js";

const REFRESH_S = 5; // also without an event: pollers and conditions have none
const REST = 20; // but at least this many times as long as the last answer took
const ONE_BY_ONE = 20;
const RETRY_S = [0.5, 1, 2, 4, 5];
const HISTORY = 50;

const store = {
  services: new Map(), conditions: [], pollers: [], replicas: [], docker: null, environment: null, revision: null,
  filter: "", view: "all", visible: [], chosen: null, explanation: null, history: null, historyFault: null,
  caller: null, lost: null, loaded: false, answeredMs: 0,
};

// --- reading --------------------------------------------------------------------------------------------------------

let refreshing = null;
let again = false;
let timer;

function refresh() {
  if (refreshing) {
    again = true;
    return refreshing;
  }
  refreshing = refreshOnce().finally(() => {
    refreshing = null;
    if (again) {
      again = false;
      refresh().catch(failed);
    }
  });
  return refreshing;
}

async function refreshOnce() {
  const began = performance.now();
  const answer = await get("/api/v1/services");
  store.services = new Map(answer.services.map((service) => [service.service, service]));
  Object.assign(store, { conditions: answer.conditions, pollers: answer.pollers, replicas: answer.replicas, docker: answer.docker, environment: answer.environment, revision: answer.revision, loaded: true });
  await refreshChosen();
  answered();
  clearTimeout(timer);
  timer = setTimeout(() => refreshLater(), Math.max(REFRESH_S * 1000, REST * (performance.now() - began)));
}

function refreshLater() {
  if (document.hidden || store.lost) {
    timer = setTimeout(refreshLater, REFRESH_S * 1000);
    return;
  }
  refresh().catch(failed);
}

async function refreshSome(names) {
  if (!names || names.length > ONE_BY_ONE) return refresh();
  await Promise.all(names.filter((name) => name !== store.chosen).map(async (name) => {
    try {
      take(await get(`/api/v1/services/${encodeURIComponent(name)}`));
    } catch (error) {
      if (!(error instanceof Problem && error.status === 404)) throw error;
      store.services.delete(name);
    }
  }));
  if (names.includes(store.chosen)) await refreshChosen();
  answered();
}

function take(service) {
  const { explanation, ...rest } = service;
  if (service.service === store.chosen) store.explanation = explanation;
  if (store.services.has(rest.service)) store.services.set(rest.service, rest);
  else refresh().catch(failed); // its place is given by the order of the file
}

async function refreshChosen() {
  const name = store.chosen;
  if (name === null || !store.services.has(name)) return;
  const path = encodeURIComponent(name);
  try {
    const [service, history] = await Promise.all([get(`/api/v1/services/${path}`), historyOf(path)]);
    if (store.chosen !== name) return;
    Object.assign(store, history);
    take(service);
  } catch (error) {
    if (!(error instanceof Problem && error.status === 404)) throw error;
    store.services.delete(name);
  }
}

// If the store fails, the history cannot be read; everything else can.
async function historyOf(path) {
  try {
    const answer = await get(`/api/v1/history?service=${path}&limit=${HISTORY}`);
    return { history: answer.history, historyFault: null };
  } catch (error) {
    if (error instanceof Problem && error.status === 503) return { historyFault: error.message };
    throw error;
  }
}

function answered() {
  store.answeredMs = Date.now();
  draw();
}

function failed(error) {
  if (error instanceof Problem && error.status === 401) {
    wantToken(error);
    return;
  }
  lose(error instanceof TypeError ? "No connection" : error.message); // the message of fetch differs by browser
  retry();
}

// Whatever failed, everything is read again over a new stream, as events may be missing.
function retry() {
  const wait = RETRY_S[Math.min(attempts++, RETRY_S.length - 1)];
  clearTimeout(retrying);
  retrying = setTimeout(connect, wait * 1000 * (0.75 + Math.random() / 2));
}

function wantToken(problem) {
  const why = token.get() ? "The daemon does not accept this token." : "This daemon requires a token.";
  token.forget();
  lose(problem.message);
  askForToken(why, (text) => {
    token.set(text);
    connect();
  });
}

// --- the stream -----------------------------------------------------------------------------------------------------

let stream = null;
let attempts = 0;
let retrying;

async function connect() {
  clearTimeout(retrying);
  stream?.abort();
  const mine = (stream = new AbortController());
  try {
    store.caller = await get("/api/v1/caller");
    await listen(() => begin(mine), hear, mine.signal);
  } catch (error) {
    if (!mine.signal.aborted) failed(error);
  }
}

function begin(mine) {
  refresh().then(() => {
    if (stream !== mine) return;
    attempts = 0;
    regain();
  }, failed);
}

let due = new Set();
let everything = false;
let gathering = null;

function hear(event, data) {
  if (event === "changed") note(data.services);
  else if (event === "decision") note([data.service]);
}

function note(names) {
  if (names) for (const name of names) due.add(name);
  else everything = true;
  gathering ??= setTimeout(() => {
    const names = everything ? null : [...due];
    due = new Set();
    everything = false;
    gathering = null;
    refreshSome(names).catch(failed);
  }, 120);
}

function lose(why) {
  store.lost ??= { since: Date.now(), why };
  store.lost.why = why;
  draw();
}

function regain() {
  if (store.lost && store.answeredMs) toast("The daemon answers again");
  store.lost = null;
  draw();
}

// --- drawing --------------------------------------------------------------------------------------------------------

let planned = false;

function draw() {
  if (planned) return;
  planned = true;
  requestAnimationFrame(() => {
    planned = false;
    drawBar();
    drawList(store);
    drawDetail(store, (action) => confirmed(action, (answer) => {
      toast(answer.detail);
      if (answer.status) take(answer.status);
      refreshSome([action.service]).catch(failed);
    }));
  });
}

function drawBar() {
  const environment = store.environment ?? "";
  byId("environment").textContent = environment;
  const waiting = [...store.services.values()].filter(VIEWS[2].has).length;
  document.title = `${waiting ? `(${waiting}) ` : ""}${environment ? `${environment} · ` : ""}bluegreen`;
  const who = byId("who");
  who.hidden = !token.get() || !store.caller;
  if (store.caller) {
    who.textContent = `${store.caller.actor} (${store.caller.scopes.join(", ")})`;
    who.title = "Sign out";
  }
  document.body.classList.toggle("lost", store.lost !== null);
  const banner = byId("banner");
  banner.hidden = store.lost === null || byId("token") !== null;
  if (store.lost) put(banner, el("b", {}, "The daemon does not answer. "), `${store.lost.why}. `, store.answeredMs ? ["The data is from ", el("time", { "data-since": new Date(store.answeredMs).toISOString() }, ago(new Date(store.answeredMs).toISOString())), "; retrying. Traffic is not affected."] : "Retrying.");
  byId("link").className = `link ${store.lost ? "bad" : store.loaded ? "good" : "quiet"}`;
  byId("link").textContent = store.lost ? "✕ lost" : store.loaded ? `✓ live, document ${store.revision ?? "none yet"}` : "… connecting";
  drawReplicas();
  drawPollers();
  put(byId("conditions"), store.conditions.map(condition));
}

// Of several daemons over one store: who leads, and who is away or behind. A daemon alone has none of it.
function drawReplicas() {
  const leader = store.replicas.find((one) => one.leads);
  const isWell = (one) => !one.away && one.current;
  const well = store.replicas.filter(isWell).length;
  const isGood = leader && well === store.replicas.length;
  byId("replicas").hidden = store.replicas.length === 0;
  byId("replicas-summary").textContent = `${sign(isGood ? "healthy" : "warning")} ${leader ? `${leader.replica} leads` : "no replica leads"}, ${well} of ${store.replicas.length} replicas current`;
  byId("replicas-summary").className = store.lost ? "quiet" : isGood ? "good" : "watch";
  put(byId("replicas-list"), table("Replicas over one store", ["Replica", "Role", "Document", "Pollers"], store.replicas.map((one) => [
    one.replica,
    one.away ? `${sign("warning")} away` : one.leads ? "leads" : "follows",
    `${sign(one.current ? "healthy" : "warning")} revision ${one.revision}${one.current ? "" : `, not ${store.revision}`}`,
    `${one.pollers}${one.behind ? `, ${one.behind} behind` : ""}`,
  ])));
}

function table(caption, heads, rows) {
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, heads.map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map(([name, ...cells]) => el("tr", {}, el("th", { scope: "row" }, name), cells.map((cell) => el("td", {}, cell))))));
}

function drawPollers() {
  const current = store.pollers.filter((one) => one.current).length;
  byId("pollers-summary").textContent = store.pollers.length ? `${current === store.pollers.length ? sign("healthy") : sign("warning")} ${current} of ${store.pollers.length} pollers current` : `${sign("warning")} no pollers`;
  byId("pollers-summary").className = store.lost ? "quiet" : store.pollers.length && current === store.pollers.length ? "good" : "watch";
  put(byId("pollers-list"), store.pollers.length
    ? table("Pollers of the document", ["Poller", "Document", "Last poll"], store.pollers.map((one) => [
      one.replica ? `${one.poller} at replica ${one.replica}` : one.poller,
      `${one.current ? sign("healthy") : sign("warning")} revision ${one.revision}${one.current ? "" : `, not ${store.revision}`}`,
      el("time", { "data-since": one.last_poll }, ago(one.last_poll)),
    ]))
    : el("p", {}, "No Traefik fetches the document, so a switch has no effect. Check providers.http.endpoint in Traefik's configuration."),
    store.docker?.enabled ? el("p", {}, store.docker.connected ? `${sign("healthy")} Docker answers` : `${sign("unhealthy")} Docker does not answer`) : null);
}

function tick() {
  for (const each of document.querySelectorAll("[data-deadline]")) each.textContent = left(each.dataset.deadline);
  for (const each of document.querySelectorAll("time[data-since]")) each.textContent = ago(each.dataset.since);
}

// --- choosing -------------------------------------------------------------------------------------------------------

function follow() {
  const name = location.hash.startsWith("#/") ? decodeURIComponent(location.hash.slice(2)) : "";
  const before = store.chosen;
  store.chosen = name || null;
  if (store.chosen !== before) Object.assign(store, { explanation: null, history: null, historyFault: null });
  draw();
  if (store.chosen !== before && store.chosen !== null) {
    refreshChosen().then(answered, failed);
    requestAnimationFrame(() => byId("detail").focus({ preventScroll: true }));
  } else if (before !== null && store.chosen === null) {
    requestAnimationFrame(() => focusRow(before));
  }
}

function focusRow(name) {
  const link = document.querySelector(`.row[data-service="${CSS.escape(name)}"] > a`);
  link?.focus();
  link?.scrollIntoView({ block: "nearest" });
}

function step(by) {
  const at = document.activeElement?.closest?.(".row")?.dataset.service ?? store.chosen;
  const index = store.visible.indexOf(at);
  const next = store.visible[index < 0 ? 0 : Math.min(store.visible.length - 1, Math.max(0, index + by))];
  if (next === undefined) return;
  if (store.chosen !== null && !document.activeElement?.closest?.(".row")) location.hash = `#/${encodeURIComponent(next)}`;
  focusRow(next);
}

const KEYS = {
  "/": () => byId("filter").focus(),
  "?": showKeys,
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  Escape: () => { location.hash = "#/"; },
};
VIEWS.forEach((view, index) => { KEYS[String(index + 1)] = () => look(view.id); });

function look(view) {
  store.view = view;
  draw();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  const typing = event.target.closest("input, textarea, select");
  if (typing) {
    if (event.key === "Escape") typing.blur();
    if (typing.id === "filter" && (event.key === "Enter" || event.key === "ArrowDown")) { event.preventDefault(); step(0); }
    return;
  }
  const does = KEYS[event.key];
  if (!does) return;
  event.preventDefault();
  does();
});
byId("filter").addEventListener("input", (event) => { store.filter = event.target.value; draw(); });
document.querySelector("form.tools").addEventListener("submit", (event) => event.preventDefault());
byId("views").addEventListener("click", (event) => { const view = event.target.closest("[data-view]"); if (view) look(view.dataset.view); });
byId("help").addEventListener("click", showKeys);
byId("who").addEventListener("click", () => { token.forget(); store.caller = null; connect(); });
addEventListener("hashchange", follow);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !store.lost && store.loaded) refresh().catch(failed); });
setInterval(tick, 1000);
follow();
connect();
