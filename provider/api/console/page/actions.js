// The commands: which a service allows, what each will do, and the dialog that confirms it.

import { post, Problem } from "./api.js";
import { byId, el, put } from "./dom.js";
import { isSwitched, named, other } from "./words.js";

const CONFIRM = { approve: "Approve", promote: "Promote", abort: "Abort", rollback: "Roll back", switch: "Switch", retry: "Retry", pause: "Pause", resume: "Resume" };

// Each: {verb, label, refused (why it is not allowed, or null), effect (what it will do), body, force?}
export function actionsOf(store, service) {
  const actions = [approve(service), promote(service), rollback(service), ...switches(service), abort(service), retry(service), pause(service)].filter(Boolean);
  return actions.map((action) => ({ ...action, service: service.service, mayForce: store.caller?.may.includes("force") ?? false, refused: denied(store, action) ?? action.refused ?? null }));
}

function denied(store, action) {
  if (store.lost) return "the daemon does not answer";
  if (store.caller && !store.caller.may.includes(action.verb)) return `the token ${store.caller.actor} has the scope ${store.caller.scopes.join(", ")} and may not ${action.verb}`;
  return null;
}

function approve(service) {
  const under = service.rollout;
  if (!under || isSwitched(service) || !["pending", "running"].includes(under.gates.approval.state)) return null;
  const found = service.colours[under.candidate];
  if (under.step?.approval) return approveStep(service, under, found);
  return {
    verb: "approve", label: "Approve", style: "primary", hint: `approve ${named(found)}`,
    effect: [`${named(found)} in ${under.candidate} is approved for ${service.service}.`,
      ...(service.preview_url ? [`Test it first: ${service.preview_url}`] : []),
      service.phase === "approval" ? `It replaces ${service.active} at once, if its gates still hold.` : `It replaces ${service.active} once its other gates have passed; it is ${service.phase} now.`],
    body: { release: under.release },
  };
}

const following = (step) => (step.number < step.of ? `step ${step.number + 1}, with ${step.weights[step.number]} % for it,` : "all of the traffic");

function approveStep(service, under, found) {
  const step = under.step;
  return {
    verb: "approve", label: `Approve step ${step.number}`, style: "primary", hint: `approve what follows step ${step.number}`,
    effect: [`Step ${step.number} of ${step.of} of ${named(found)} in ${under.candidate} is approved.`,
      `Then ${following(step)} follows as soon as the time of this step is over and its gates have passed.`],
    body: { release: under.release, step: step.number },
  };
}

function promote(service) {
  const under = service.rollout;
  if (!under?.step || isSwitched(service)) return null;
  const step = under.step;
  return {
    verb: "promote", label: "Promote", hint: `end the time of step ${step.number}`,
    effect: [step.promoted ? `The time of step ${step.number} of ${step.of} was ended by ${step.promoted}; it waits for its gates.` : `The time of step ${step.number} of ${step.of} ends now.`,
      `As soon as its gates have passed, ${following(step)} follows for ${named(service.colours[under.candidate])} in ${under.candidate}.`],
    body: { release: under.release, step: step.number },
    force: "Force waives the gates of this step as well: analysis, smoke tests and approval. More traffic may go to a release that fails.",
  };
}

function rollback(service) {
  if (service.active === null) return null;
  if (service.rollout?.step && !isSwitched(service)) return { verb: "rollback", label: "Roll back", style: "danger", hint: `all of the traffic back to ${service.active}`, effect: ended(service), body: { from: service.rollout.release } };
  const back = service.rollback;
  const leaving = service.colours[service.active];
  const force = service.rollback_with_force && !back.ready ? `The rollback target is not ready: ${back.reason}. Force accepts an unhealthy release, never another one.` : null;
  return {
    verb: "rollback", label: "Roll back", style: back.ready ? "danger" : "", hint: back.ready ? `back to ${back.to}` : null,
    refused: back.ready || force ? null : `no rollback target: ${back.reason}`,
    effect: [`${service.service} goes back to ${back.to ? returned(service, back) : "the other colour"}, in one switch and without gates.`,
      `${named(leaving)} in ${service.active} is left and quarantined: it is not retried automatically.`,
      ...(service.group ? [`All members of group ${service.group} that switched with it go back in the same document, or none does.`] : [])],
    body: { from: leaving.release ?? undefined }, force, mustForce: force !== null,
  };
}

function returned(service, back) {
  const found = service.colours[back.to];
  return found.release === back.release ? `${named(found)} in ${back.to}` : `${back.to}, release ${back.release}`;
}

function switches(service) {
  if (service.active === null) {
    return ["blue", "green"].map((colour) => ({
      verb: "switch", label: `Switch to ${colour}`, refused: service.colours[colour].servers.length ? null : `${colour} has no servers`,
      effect: [`${colour} of ${service.service} becomes active: ${named(service.colours[colour])}. The service was undecided until now.`], body: { colour },
    }));
  }
  const colour = other(service.active);
  const found = service.colours[colour];
  const refused = !found.servers.length ? `${colour} has no servers` : found.state === "mixed" ? `${colour} is mixed: it runs several releases` : null;
  if (service.rollout && !isSwitched(service) && service.rollout.candidate === colour) return [{ ...forward(service, colour, found), refused: "a rollout to it is already under way" }];
  return [{ ...forward(service, colour, found), refused }];
}

function forward(service, colour, found) {
  const isRollbackTarget = service.rollback.to === colour && service.rollback.release === found.release;
  const gates = service.rollout?.gates.approval.state === "skipped" ? "health and smoke tests" : "health, smoke tests, and approval if required";
  return {
    verb: "switch", label: `Switch to ${colour}`, hint: `bring ${named(found)} to active`,
    effect: [isRollbackTarget
      ? `${named(found)} in ${colour} was active before, so it only needs to be healthy. The release that is left is not quarantined: to leave a failing release, roll back instead.`
      : `A rollout brings ${named(found)} in ${colour} to active, through its gates: ${gates}.`,
      ...(service.desired !== "auto" && service.desired !== colour ? [`The file says active: ${service.desired}. The switch overrides it.`] : []),
      ...(service.group ? [`Other candidates in group ${service.group} switch with it.`] : [])],
    body: { colour, release: found.release ?? undefined },
    force: "Force skips every gate: health, smoke tests and approval. Traffic may go to a release that fails.",
  };
}

function abort(service) {
  const under = service.rollout;
  if (!under) return null;
  return {
    verb: "abort", label: "Abort", style: "danger", hint: `end rollout ${under.id}`,
    effect: isSwitched(service)
      ? [`Rollout ${under.id} is past its switch, so this is a rollback: ${other(service.active)} serves traffic again, and release ${under.release} is quarantined.`]
      : ended(service),
    body: {},
  };
}

function ended(service) {
  const under = service.rollout;
  const kept = under.step ? `has all of the traffic again, at once (${under.candidate} has ${under.step.weight} % now)` : "keeps serving traffic";
  return [`Rollout ${under.id} ends. ${service.active} ${kept}; release ${under.release} in ${under.candidate} is quarantined and not retried automatically.`];
}

function retry(service) {
  if (!service.quarantined.length && !service.override) return null;
  return {
    verb: "retry", label: "Retry", hint: "try the failed release again", refused: service.rollout ? `rollout ${service.rollout.id} must end first` : null,
    effect: ["The failed release is taken out of quarantine, overrides are lifted, and it is rolled out again, through all gates."], body: {},
  };
}

function pause(service) {
  const verb = service.paused ? "resume" : "pause";
  return {
    verb, label: verb === "pause" ? "Pause" : "Resume", hint: verb === "pause" ? "stop rollouts" : "continue rollouts",
    effect: verb === "pause" ? ["Rollouts stop until somebody resumes them. The active colour keeps serving traffic; a rollback stays possible."] : ["Rollouts continue, and the deadline of a phase starts again. hold: true in the file still stops them."],
    body: {},
  };
}

// Confirms and sends the command, and shows the answer; after a refusal the dialog stays open.
export function confirmed(action, done) {
  const reason = el("textarea", { rows: "2", maxlength: "1000", id: "reason" });
  const force = el("input", { type: "checkbox", id: "force", checked: action.mustForce });
  const refusal = el("p", { class: "refusal", role: "alert", hidden: true });
  const go = el("button", { type: "submit", class: action.style || "primary", "data-confirm": action.verb }, CONFIRM[action.verb]);
  const label = el("label", { for: "reason" });
  const cancel = el("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel");
  const offersForce = Boolean(action.force) && action.mayForce;
  const updateReason = () => {
    label.textContent = force.checked ? "Reason (required, recorded in the history)" : "Reason (recorded in the history)";
    reason.required = force.checked;
  };
  force.addEventListener("change", updateReason);
  updateReason();
  const dialog = el("dialog", { "aria-labelledby": "dialog-title", class: "command" }, el("form", { method: "dialog" },
    el("h2", { id: "dialog-title" }, `${CONFIRM[action.verb]}: ${action.service}`),
    action.effect.map((line) => el("p", {}, line)),
    offersForce ? el("div", { class: "force" }, el("label", {}, force, " Force"), el("p", {}, action.force)) : action.mustForce ? el("p", { class: "force" }, action.force) : null,
    label, reason, refusal,
    el("div", { class: "buttons" }, cancel, go)));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    if (go.disabled) return;
    go.disabled = true;
    refusal.hidden = true;
    const body = { ...action.body };
    if (reason.value.trim()) body.reason = reason.value.trim();
    if (offersForce && force.checked) body.force = true;
    try {
      const answer = await post(`/api/v1/services/${encodeURIComponent(action.service)}/${action.verb}`, body);
      dialog.close();
      done(answer);
    } catch (error) {
      refusal.textContent = error instanceof Problem ? error.message : `The daemon did not answer, so the command may or may not have been executed: ${error.message}`;
      refusal.hidden = false;
      go.disabled = false;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
  (action.style === "danger" ? cancel : reason).focus(); // never the confirm button: a space would press it
}

export function askForToken(why, done) {
  if (byId("token")) return;
  const field = el("input", { type: "password", id: "token", required: true, autocomplete: "off", spellcheck: "false" });
  const dialog = el("dialog", { "aria-labelledby": "token-title", class: "command" }, el("form", { method: "dialog" },
    el("h2", { id: "token-title" }, "Sign in"), el("p", {}, why),
    el("label", { for: "token" }, "Token"), field,
    el("p", { class: "quiet" }, "The token is kept until this tab is closed, and sent only to this daemon. To create one: bluegreen token NAME --scope read"),
    el("div", { class: "buttons" }, el("button", { type: "submit", class: "primary" }, "Sign in"))));
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.remove();
    done(field.value.trim());
  });
  document.body.append(dialog);
  dialog.showModal();
}

export function showKeys() {
  const keys = [["/", "filter"], ["j k ↓ ↑", "next, previous service"], ["Enter", "open"], ["Esc", "close, or leave the filter"], ["1 2 3 4", "all, in rollout, awaiting approval, needs attention"], ["?", "show keys"]];
  const dialog = el("dialog", { "aria-labelledby": "keys-title", class: "command" }, el("form", { method: "dialog" }, el("h2", { id: "keys-title" }, "Keys"),
    el("dl", { class: "keys" }, keys.flatMap(([key, what]) => [el("dt", {}, key.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, what)])),
    el("div", { class: "buttons" }, el("button", { class: "primary" }, "Close"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

let fading;
export function toast(text) {
  put(byId("toast"), text);
  byId("toast").classList.add("shown");
  clearTimeout(fading);
  fading = setTimeout(() => byId("toast").classList.remove("shown"), 6000);
}
