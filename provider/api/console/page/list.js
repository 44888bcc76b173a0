// The list of all services: a row each, redrawn only if it has changed.

import { byId, el, put } from "./dom.js";
import { COLOURS, healthyOf, left, matches, needsApproval, named, release, severity, sign, tone } from "./words.js";

const SHOWN_MOST = 1000;

export const VIEWS = [
  { id: "all", label: "All", has: () => true },
  { id: "moving", label: "In rollout", has: (service) => service.rollout !== null },
  { id: "approval", label: "Awaiting approval", has: needsApproval },
  { id: "attention", label: "Needs attention", has: (service, daemon) => severity(service, daemon) !== null },
];

const rows = new Map(); // name -> {element, drawn}

export function chip(colour, ...more) {
  return el("span", { class: `chip ${colour}` }, el("span", { class: "mark", "aria-hidden": "true" }), colour, ...more);
}

export function state(word, text = word) {
  return el("span", { class: `state ${tone(word)}` }, el("span", { class: "sign", "aria-hidden": "true" }, sign(word)), text);
}

export function countdown(deadline) {
  return deadline ? el("span", { class: "countdown", "data-deadline": deadline }, left(deadline)) : null;
}

export function drawList(store, choose) {
  const words = store.filter.toLowerCase().split(/\s+/).filter(Boolean);
  const view = VIEWS.find((each) => each.id === store.view) ?? VIEWS[0];
  const all = [...store.services.values()];
  const found = all.filter((service) => view.has(service, store.conditions) && matches(service, words));
  const shown = found.slice(0, SHOWN_MOST);
  store.visible = shown.map((service) => service.service);
  drawViews(store, all);
  const more = found.length > shown.length ? `, ${shown.length} shown, filter to see others` : "";
  byId("count").textContent = all.length ? `${found.length === all.length ? all.length : `${found.length} of ${all.length}`} ${all.length === 1 ? "service" : "services"}${more}` : store.loaded ? "The desired state has no services" : "";
  for (const name of rows.keys()) if (!store.services.has(name)) rows.delete(name);
  byId("heads").hidden = shown.length === 0;
  const list = byId("services");
  const drawn = shown.map((service) => row(store, service, choose));
  if (drawn.length !== list.children.length || drawn.some((element, index) => element !== list.children[index])) {
    const focused = document.activeElement;
    put(list, drawn);
    if (focused && list.contains(focused) && focused !== document.activeElement) focused.focus();
  }
}

function drawViews(store, all) {
  put(byId("views"), VIEWS.map((view) => {
    const count = all.filter((service) => view.has(service, store.conditions)).length;
    return el("button", { type: "button", class: "view", "aria-pressed": String(view.id === store.view), "data-view": view.id }, `${view.label} `, el("b", {}, String(count)));
  }));
}

function row(store, service, choose) {
  const drawn = JSON.stringify([service, store.conditions.length, store.chosen === service.service]);
  let known = rows.get(service.service);
  if (!known) {
    const element = el("div", { class: "row", role: "listitem", "data-service": service.service }, el("a", { href: `#/${encodeURIComponent(service.service)}` }));
    known = { element, drawn: null };
    rows.set(service.service, known);
  }
  if (known.drawn !== drawn) {
    known.drawn = drawn;
    fill(known.element, service, store, choose);
  }
  return known.element;
}

function fill(element, service, store) {
  const attention = severity(service, store.conditions);
  element.className = `row${attention ? ` ${attention}` : ""}${store.chosen === service.service ? " chosen" : ""}${service.phase === "steady" ? "" : " moving"}`;
  const step = service.rollout?.step;
  const link = element.firstElementChild;
  link.setAttribute("aria-current", String(store.chosen === service.service));
  put(link,
    el("span", { class: "name" },
      attention ? el("span", { class: `sign ${tone(attention)}`, title: attention, role: "img", "aria-label": attention }, sign(attention)) : null,
      el("span", { class: "text" }, service.service),
      service.group ? el("span", { class: "group", title: `group ${service.group}` }, service.group) : null,
      service.paused ? el("span", { class: "tag" }, "paused") : null,
    ),
    el("span", { class: "phase" }, el("span", { class: `step ${service.phase === "steady" ? "quiet" : "watch"}` }, step ? `${service.phase} ${step.number}/${step.of}` : service.phase), service.rollout ? countdown(step ? step.until : service.rollout.deadline) : null),
    COLOURS.map((colour) => cell(service, colour)),
    el("span", { class: "blocking" }, note(service, store)),
  );
}

function cell(service, colour) {
  const found = service.colours[colour];
  const isActive = service.active === colour;
  return el("span", { class: `cell ${colour}${isActive ? " active" : ""}`, title: named(found) },
    chip(colour, isActive || service.weights[colour] > 0 ? el("b", { class: "weight" }, ` ${service.weights[colour]} %`) : null),
    el("span", { class: "version" }, release(found)),
    found.servers.length ? state(found.state, `${found.state} ${healthyOf(found)}`) : state(found.state, found.state),
  );
}

function note(service, store) {
  if (service.blocking) return service.blocking;
  const own = service.conditions.filter((one) => !store.conditions.some((daemon) => daemon.code === one.code && daemon.message === one.message));
  if (own.length) return own[0].message;
  if (service.lease) return `${service.lease.holder} is deploying`;
  return service.rollback.ready ? `rollback ready: ${service.rollback.to}` : "";
}
