// Texts: signs, times, and the state of a service.

import { now } from "./api.js";

export const COLOURS = ["blue", "green"];
export const PHASES = ["waiting", "testing", "approval", "shifting", "confirming", "watching"];
export const PHASE_TEXTS = {
  waiting: "servers appear and become healthy",
  testing: "smoke tests",
  approval: "waits for approval",
  shifting: "the weights move",
  confirming: "Traefik applies the switch",
  watching: "it serves traffic and is watched",
};
const SIGNS = {
  healthy: "✓", unhealthy: "✕", unknown: "?", starting: "…", mixed: "≠", empty: "–",
  passed: "✓", failed: "✕", running: "…", pending: "○", skipped: "–",
  critical: "✕", warning: "!", info: "i",
};
const SAFE = new Set(["healthy", "passed"]);
const BAD = new Set(["unhealthy", "failed", "critical"]);
const QUIET = new Set(["empty", "skipped", "unknown", "info"]);

export const sign = (state) => SIGNS[state] ?? "·";
export const tone = (state) => (SAFE.has(state) ? "good" : BAD.has(state) ? "bad" : QUIET.has(state) ? "quiet" : "watch");
export const other = (colour) => (colour === "blue" ? "green" : "blue");

export function spoken(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, "0")} s`;
  if (whole < 86400) return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")} min`;
  return `${Math.floor(whole / 86400)} d ${Math.floor((whole % 86400) / 3600)} h`;
}

export const ago = (at) => `${spoken((now() - Date.parse(at)) / 1000)} ago`;

export function left(deadline) {
  const seconds = (Date.parse(deadline) - now()) / 1000;
  return seconds > 0 ? `${spoken(seconds)} left` : "due now";
}

export function clockTime(at) {
  const date = new Date(at);
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
  return date.toDateString() === new Date(now()).toDateString() ? time : `${date.toLocaleDateString()} ${time}`;
}

export const release = (colour) => colour.version ?? colour.release ?? "";
export const named = (colour) => (colour.version && colour.release ? `${colour.version} (release ${colour.release})` : colour.release ? `release ${colour.release}` : "nothing");

export function healthyOf(colour) {
  const healthy = colour.servers.filter((server) => server.health === "healthy").length;
  return `${healthy} of ${colour.servers.length}`;
}

// The role of a colour.
export function role(service, colour) {
  if (service.active === colour) return "active";
  if (service.rollout && service.rollout.candidate === colour && !isSwitched(service)) return "candidate";
  if (service.rollback.to === colour && service.rollback.ready) return "rollback target";
  return service.active === null ? "undecided" : "standby";
}

export const isSwitched = (service) => service.rollout !== null && service.active === service.rollout.candidate;

// Conditions of the service itself; those of the daemon are shown once, at the top.
export function ownConditions(service, daemon) {
  const shown = new Set(daemon.map((one) => `${one.code}\n${one.message}`));
  return service.conditions.filter((one) => !shown.has(`${one.code}\n${one.message}`));
}

export function severity(service, daemon) {
  const own = ownConditions(service, daemon);
  if (own.some((one) => one.severity === "critical")) return "critical";
  if (own.some((one) => one.severity === "warning") || service.quarantined.length || service.override || service.active === null) return "warning";
  return null;
}

export const needsApproval = (service) => (service.phase === "approval" && service.rollout?.gates.approval.state !== "passed") || service.rollout?.step?.approval?.state === "pending";

export function matches(service, words) {
  const text = [
    service.service, service.group, service.phase, service.active ? `active:${service.active}` : "undecided",
    ...COLOURS.flatMap((colour) => [service.colours[colour].version, service.colours[colour].release, service.colours[colour].state]),
    service.blocking, service.paused ? "paused" : null, service.override ? "override" : null,
    service.quarantined.length ? "quarantined" : null,
  ].filter(Boolean).join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}
