// The steps of a rollout: their weights, how long the present one lasts, and what is counted of both colours in it.

import { now } from "./api.js";
import { el, svg } from "./dom.js";
import { chip, countdown } from "./list.js";
import { COLOURS } from "./words.js";

const WIDE = 300;
const HIGH = 56;
const POWER = 6;

export function steps(service) {
  const step = service.rollout.step;
  if (!step) return null;
  const weights = [...step.weights, 100];
  return el("section", { class: "canary", "aria-label": "Steps" },
    el("h4", {}, `Step ${step.number} of ${step.of}: ${step.weight} % for `, chip(service.rollout.candidate)),
    el("ol", { class: "steps" }, weights.map((weight, index) => {
      const where = index < step.number - 1 ? "done" : index === step.number - 1 ? "now" : "ahead";
      return el("li", { class: where, "aria-current": where === "now" ? "step" : null }, el("span", {}, where === "done" ? "✓ " : "", `${weight} %`));
    })),
    el("p", { class: "clock" }, clock(step)),
    step.approval ? el("p", { class: "quiet words" }, `Approval of what follows: ${step.approval.state}`) : null,
    analysis(step.analysis),
  );
}

function clock(step) {
  const bar = (part) => el("progress", { max: 1, value: part, "aria-label": "Time of the step" });
  if (step.promoted) return [bar(1), ` its time was ended by ${step.promoted}`];
  if (!step.until) return [bar(0), " its time does not run"];
  const all = Date.parse(step.until) - Date.parse(step.since);
  const over = now() - Date.parse(step.since);
  if (over >= all) return [bar(1), " its time is over"];
  return [bar(Math.max(0, over / all)), " ", countdown(step.until)];
}

function analysis(found) {
  if (!found?.tests) return null;
  const enough = found.requests >= found.min_requests;
  return el("div", { class: "analysis" },
    el("p", {}, meter(found.requests, found.min_requests, enough ? "good" : "watch", "Requests of the candidate"), ` ${found.requests} of ${found.min_requests} requests`),
    found.tests.length ? el("div", { class: "scroll" }, el("table", {}, el("caption", {}, "Evidence against the candidate"),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Test"), el("th", { scope: "col" }, "Evidence of limit"), COLOURS.map((colour) => el("th", { scope: "col" }, `Bad in ${colour}`)))),
      el("tbody", {}, found.tests.map((test) => el("tr", {}, el("th", { scope: "row" }, test.name),
        el("td", {}, meter(Math.max(0, test.evidence), test.limit, test.evidence >= test.limit ? "bad" : test.evidence * 2 >= test.limit ? "watch" : "good", test.name), ` ${power(test.evidence)} of ${power(test.limit)}`),
        COLOURS.map((colour) => el("td", { class: "number" }, `${test.counts[colour].bad} of ${test.counts[colour].requests}`))))))) : null,
    found.queries.map((query) => el("p", {}, meter(query.failures, query.failures_most, query.failures ? "watch" : "good", query.name), ` ${query.name}: ${query.value ?? "no value yet"}, ${query.failures} of ${query.failures_most} failed`)),
    course(found),
  );
}

function meter(value, most, tone, label) {
  const part = most > 0 ? Math.min(1, value / most) : 1;
  return svg("svg", { class: `meter ${tone}`, viewBox: "0 0 100 10", preserveAspectRatio: "none", role: "img", "aria-label": `${label}: ${Math.round(part * 100)} % of its limit` },
    svg("rect", { class: "ground", width: 100, height: 10 }), svg("rect", { class: "full", width: Math.round(part * 100), height: 10 }));
}

// Evidence is a power of ten.
function power(log10) {
  if (log10 >= POWER) return `10^${Math.round(log10)}`;
  const value = 10 ** log10;
  return value >= 100 ? String(Math.round(value)) : value.toFixed(1);
}

// What the daemon counted of both colours, interval by interval. An interval lasts until the next one, or the last reading.
function course(found) {
  const known = found.intervals;
  if (known.length < 2) return el("p", { class: "quiet" }, "A chart of requests and errors begins with the second reading.");
  const points = known.map((one, index) => {
    const from = Date.parse(one.since);
    const to = Date.parse(known[index + 1]?.since ?? found.last ?? one.since);
    const seconds = Math.max(1, (to - from) / 1000);
    const of = ({ requests, bad }) => ({ rate: requests / seconds, bad: requests ? (100 * bad) / requests : 0 });
    return { at: from, blue: of(one.counts.blue), green: of(one.counts.green) };
  });
  return el("div", { class: "charts" },
    chart("Requests a second", points, (one) => one.rate, ""),
    chart("Bad answers", points, (one) => one.bad, " %"));
}

function chart(title, points, value, unit) {
  const most = Math.max(...points.flatMap((point) => COLOURS.map((colour) => value(point[colour]))), 0.001);
  const [from, to] = [points[0].at, points.at(-1).at];
  const x = (at) => (to > from ? ((at - from) / (to - from)) * WIDE : WIDE);
  const y = (found) => HIGH - (found / most) * (HIGH - 2) - 1;
  const last = points.at(-1);
  const text = COLOURS.map((colour) => `${colour} ${number(value(last[colour]))}${unit}`).join(", ");
  return el("figure", {}, el("figcaption", {}, `${title}: `, el("span", { class: "quiet" }, `${text}; at most ${number(most)}${unit}`)),
    svg("svg", { class: "chart", viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": `${title}: ${text}` },
      COLOURS.map((colour) => svg("polyline", { class: colour, points: points.map((point) => `${x(point.at).toFixed(1)},${y(value(point[colour])).toFixed(1)}`).join(" ") }))));
}

const number = (value) => (value >= 10 ? String(Math.round(value)) : value.toFixed(value ? 1 : 0));
