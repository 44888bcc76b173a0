// The admin API: requests, commands, and the stream of events.

const TOKEN = "bluegreen-token";
const QUIET_S = 12; // the daemon sends something at least every 5 s
const ANSWER_S = 12;
const COMMAND_S = 35;

export class Problem extends Error {
  constructor(status, code, detail) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (text) => sessionStorage.setItem(TOKEN, text),
  forget: () => sessionStorage.removeItem(TOKEN),
};

// How far the clock of the daemon is ahead, in ms; its answers have whole seconds.
let aheadMs = 0;
export const now = () => Date.now() + aheadMs;

function noteClock(answer) {
  const sentMs = Date.parse(answer.headers.get("Date") ?? "");
  if (!Number.isNaN(sentMs)) {
    const found = sentMs + 500 - Date.now();
    aheadMs = Math.abs(found) > 1500 ? found : 0;
  }
}

async function ask(path, options, signal) {
  const headers = { Accept: "application/json", ...options.headers };
  const shown = token.get();
  if (shown) headers.Authorization = `Bearer ${shown}`;
  const answer = await fetch(path, { ...options, headers, signal, cache: "no-store", credentials: "omit" });
  noteClock(answer);
  if (!answer.ok) {
    const content = await answer.json().catch(() => ({}));
    throw new Problem(answer.status, content.code ?? "", content.detail ?? `the daemon answers ${answer.status}`);
  }
  return answer;
}

export async function get(path) {
  const answer = await ask(path, {}, AbortSignal.timeout(ANSWER_S * 1000));
  return answer.json();
}

export async function post(path, body) {
  const options = { method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
  const answer = await ask(path, options, AbortSignal.timeout(COMMAND_S * 1000));
  return answer.json();
}

// Calls `hear(event, data)` for each event until the stream ends or is silent for too long, and `begin` once it is open.
export async function listen(begin, hear, signal) {
  const quiet = new AbortController();
  let watchdog;
  const alive = () => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => quiet.abort(new Error("the daemon sends nothing")), QUIET_S * 1000);
  };
  alive();
  signal.addEventListener("abort", () => quiet.abort(), { once: true });
  try {
    const answer = await ask("/api/v1/events", { headers: { Accept: "text/event-stream" } }, quiet.signal);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    begin();
    for (;;) {
      const { value, done } = await reader.read();
      if (done) throw new Error("the daemon closed the connection");
      alive();
      text += value;
      const events = text.split("\n\n");
      text = events.pop();
      for (const event of events) dispatch(event, hear);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

function dispatch(event, hear) {
  let name = "message";
  const data = [];
  for (const line of event.split("\n")) {
    if (line.startsWith("event: ")) name = line.slice(7);
    else if (line.startsWith("data: ")) data.push(line.slice(6));
  }
  if (data.length) hear(name, JSON.parse(data.join("\n")));
}
