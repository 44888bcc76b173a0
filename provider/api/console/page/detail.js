// One service in detail.

import { byId, el, put } from "./dom.js";
import { chip, countdown, state } from "./list.js";
import { actionsOf } from "./actions.js";
import { steps } from "./steps.js";
import { ago, clockTime, COLOURS, healthyOf, isSwitched, other, ownConditions, PHASES, PHASE_TEXTS, role, sign, tone } from "./words.js";

let drawn = { key: "", explanation: "" };

export function drawDetail(store, act) {
  const place = byId("detail");
  const service = store.services.get(store.chosen);
  document.body.classList.toggle("with-detail", store.chosen !== null);
  if (store.chosen === null) {
    place.hidden = true;
    drawn = { key: "", explanation: "" };
    return;
  }
  place.hidden = false;
  const { blocking, ...rest } = service ?? {}; // counts seconds, like the explanation
  const key = JSON.stringify([rest, store.history, store.historyFault, store.conditions, store.caller, store.lost, store.loaded]);
  const explanation = JSON.stringify([blocking, store.explanation]);
  if (key === drawn.key && (explanation === drawn.explanation || isSelecting(place))) return;
  drawn = { key, explanation };
  const open = [...place.querySelectorAll("details[open][data-key]")].map((each) => each.dataset.key);
  const scroll = place.scrollTop;
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset.verb ?? document.activeElement.className : null;
  put(place, service ? whole(store, service, act) : gone(store));
  for (const key of open) place.querySelector(`details[data-key="${CSS.escape(key)}"]`)?.setAttribute("open", "");
  place.scrollTop = scroll;
  if (focused) (place.querySelector(`[data-verb="${CSS.escape(focused)}"]`) ?? place.querySelector(".close"))?.focus({ preventScroll: true });
}

// Somebody copies a release id: a redraw must not clear the selection.
function isSelecting(place) {
  const selection = getSelection();
  return selection !== null && !selection.isCollapsed && place.contains(selection.anchorNode);
}

const close = () => el("a", { class: "close", href: "#/", "aria-label": "Close" }, "✕");

function gone(store) {
  return [el("header", {}, el("h2", {}, store.chosen), close()), el("p", {}, store.loaded ? "The desired state has no such service." : "Loading…")];
}

function whole(store, service, act) {
  const own = ownConditions(service, store.conditions);
  return [
    el("header", {},
      el("h2", {}, service.service),
      service.active ? chip(service.active, " active") : el("span", { class: "tag" }, "undecided"),
      service.group ? el("span", { class: "group" }, `group ${service.group}`) : null,
      close(),
    ),
    el("div", { class: "actions", role: "group", "aria-label": "Commands" }, actionsOf(store, service).map((action) => button(action, act))),
    el("ul", { class: "conditions", "aria-label": "Conditions of this service" }, own.map(condition)),
    service.rollout ? rollout(service) : null,
    el("section", { "aria-label": "Explanation" }, el("ul", { class: "explanation" }, explained(store, service).map((line) => el("li", {}, line)))),
    el("div", { class: "colours" }, COLOURS.map((colour) => card(service, colour))),
    facts(service),
    timeline(store),
  ];
}

// Gates and conditions are shown elsewhere.
function explained(store, service) {
  return (store.explanation ?? (service.blocking ? [service.blocking] : [])).filter((line) => !/^(Gates|info|warning|critical): /.test(line));
}

function button(action, act) {
  return el("button", {
    type: "button", class: action.style ?? "", "data-verb": action.verb, disabled: action.refused !== null, title: action.refused ?? action.hint,
    onclick: () => act(action),
  }, action.label);
}

export function condition(one) {
  return el("li", { class: tone(one.severity) },
    el("span", { class: "sign", "aria-hidden": "true" }, sign(one.severity)),
    el("span", {}, el("b", {}, `${one.severity}: `), one.message, one.since ? el("span", { class: "quiet" }, " ", el("time", { "data-since": one.since, title: one.since }, ago(one.since))) : null));
}

function rollout(service) {
  const under = service.rollout;
  const reached = PHASES.indexOf(service.phase);
  return el("section", { class: "rollout", "aria-label": "Rollout" },
    el("h3", {}, `Rollout ${under.id} to `, chip(under.candidate), under.release ? ` release ${under.release}` : null,
      el("span", { class: "quiet" }, ` started by ${under.actor ?? under.trigger}, `, el("time", { "data-since": under.since, title: under.since }, ago(under.since)))),
    under.forced ? el("p", { class: "state watch" }, `forced: ${under.forced}`) : null,
    el("ol", { class: "phases" }, PHASES.map((phase, index) => {
      const where = index < reached ? "done" : index === reached ? "now" : "ahead";
      return el("li", { class: where, "aria-current": where === "now" ? "step" : null, title: PHASE_TEXTS[phase] },
        el("span", { class: "dot", "aria-hidden": "true" }, where === "done" ? "✓" : String(index + 1)),
        el("span", {}, phase), where === "now" && !under.step ? countdown(under.deadline) : null);
    })),
    steps(service),
    el("table", { class: "gates" }, el("caption", {}, isSwitched(service) ? "Gates at the switch" : "Gates"),
      el("tbody", {}, Object.entries(under.gates).map(([gate, found]) => el("tr", {}, el("th", { scope: "row" }, gate), el("td", {}, state(found.state)), el("td", { class: "words" }, evidence(gate, found, under)))))),
    under.smoke.length ? smoke(under.smoke) : null,
  );
}

function evidence(gate, found, under) {
  if (gate === "approval" && under.approval) return ["by ", el("b", {}, under.approval.actor), " ", el("time", { "data-since": under.approval.at, title: under.approval.at }, ago(under.approval.at))];
  if (found.reason) return found.reason;
  if (gate === "smoke" && under.smoke.length) return `${under.smoke.filter((one) => one.passed).length} of ${under.smoke.length} passed`;
  return "";
}

function smoke(results) {
  return el("details", { "data-key": "smoke", open: results.some((one) => one.passed === false) }, el("summary", {}, `Smoke tests (${results.length})`),
    el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, ["Test", "Server", "Result", "Took", "Cause"].map((name) => el("th", { scope: "col" }, name)))),
      el("tbody", {}, results.map((one) => el("tr", {},
        el("td", {}, one.test), el("td", { class: "url" }, one.server), el("td", {}, state(one.passed === null ? "running" : one.passed ? "passed" : "failed")),
        el("td", { class: "number" }, `${Math.round(one.duration * 1000)} ms`),
        el("td", { class: "words" }, one.cause ?? "", one.excerpt ? el("pre", {}, one.excerpt) : null)))))));
}

function card(service, colour) {
  const found = service.colours[colour];
  return el("section", { class: `card ${colour}`, "aria-label": `${colour} colour` },
    el("h3", {}, chip(colour), el("span", { class: "role" }, role(service, colour)), el("span", { class: "share" }, `${service.weights[colour]} %`)),
    el("dl", {},
      el("dt", {}, "Version"), el("dd", {}, found.version ?? "–"),
      el("dt", {}, "Release"), el("dd", { class: "code" }, found.release ?? "–"),
      el("dt", {}, "State"), el("dd", {}, found.servers.length ? state(found.state, `${found.state}, ${healthyOf(found)} healthy`) : state(found.state))),
    found.servers.length ? el("ul", { class: "servers" }, found.servers.map(server)) : el("p", { class: "quiet" }, "no servers"),
  );
}

function server(one) {
  const notes = [one.published ? "in the document" : null, one.leaving ? "leaving" : null, one.container ? `container ${one.container}` : null].filter(Boolean);
  return el("li", {},
    el("span", { class: "url" }, one.url), state(one.health),
    one.cause ? el("span", { class: "words bad-text" }, one.cause) : null,
    el("span", { class: "quiet" }, one.since ? el("time", { "data-since": one.since, title: one.since }, ago(one.since)) : null, one.since && notes.length ? ", " : null, notes.join(", ")));
}

const link = (url) => el("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url);

function facts(service) {
  const back = service.rollback;
  const rows = [
    service.url ? ["Service", link(service.url)] : null,
    service.preview_url ? ["Preview", [link(service.preview_url), ` shows ${service.active === null ? "the standby" : other(service.active)} once it is healthy`]] : null,
    ["Desired", `${service.desired}${service.paused ? ", paused or held" : ""}`],
    ["Rollback", back.ready ? [state("passed", "ready"), ` ${back.to}${back.release ? `, release ${back.release}` : ""}`] : [state("skipped", "none"), ` ${back.reason ?? ""}`]],
    ["Traefik", state(service.confirmed ? "passed" : "pending", service.applied?.of ? service.applied.detail : service.confirmed ? "every Traefik has applied it" : "not confirmed")],
    ["Switched", service.switched ? [el("time", { "data-since": service.switched, title: service.switched }, ago(service.switched)), ` (${clockTime(service.switched)})`] : "never"],
    service.override ? ["Override", `${service.override.colour}, by ${service.override.actor ?? "the daemon"}: ${service.override.reason}`] : null,
    service.lease ? ["Lease", `${service.lease.holder}, until ${clockTime(service.lease.until)}${service.lease.warning ? `; ${service.lease.warning}` : ""}`] : null,
    ...service.quarantined.map((one) => ["Quarantined", `${one.colour} release ${one.release ?? "–"}: rollout ${one.rollout} ended as ${one.outcome}${one.reason ? `, ${one.reason}` : ""}`]),
  ].filter(Boolean);
  return el("dl", { class: "facts" }, rows.flatMap(([term, text]) => [el("dt", {}, term), el("dd", {}, text)]));
}

function timeline(store) {
  return el("section", { class: "history", "aria-label": "History" }, el("h3", {}, "History"),
    store.historyFault ? el("p", { class: "bad-text words" }, `The history cannot be read: ${store.historyFault}`) : null,
    store.history === null ? store.historyFault ? null : el("p", { class: "quiet" }, "Loading…") : store.history.length === 0 ? el("p", { class: "quiet" }, "No decisions yet.")
      : el("ol", { class: "timeline" }, store.history.map(decision)));
}

const EVENT_TONE = { "step-begun": "watch", "step-passed": "good", promoted: "watch", shifted: "good", confirmed: "good", watched: "good", "smoke-failed": "bad", "rolled-back": "bad", "way-back-lost": "watch", unconfirmed: "watch", replaced: "watch" };
const ENDED_WELL = new Set([null, "switched", "superseded"]);

function decision(one) {
  const who = one.actor ?? one.trigger;
  return el("li", { class: ENDED_WELL.has(one.outcome) ? EVENT_TONE[one.event] ?? "quiet" : "bad" },
    el("time", { title: one.at }, clockTime(one.at)),
    el("span", { class: "what" }, el("b", {}, one.event), one.colour ? [" ", chip(one.colour)] : null, one.release ? el("span", { class: "code" }, ` ${one.release}`) : null,
      one.rollout ? el("span", { class: "quiet" }, ` ${one.rollout}`) : null, who ? el("span", { class: "quiet" }, ` by ${who}`) : null,
      one.outcome ? el("span", { class: "tag" }, one.outcome) : null),
    one.detail ? el("span", { class: "words" }, one.detail) : null,
    one.evidence.length ? el("details", { "data-key": `${one.at} ${one.event}` }, el("summary", {}, "Evidence"), el("ul", {}, one.evidence.map((line) => el("li", {}, line)))) : null);
}
