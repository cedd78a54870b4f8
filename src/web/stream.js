// Every job there is, through one connection that comes back by itself.

const EVENTS = ["progress", "done", "error", "deleted", "reset"];
const WAIT_FIRST_MS = 500;
const WAIT_MOST_MS = 30_000;

/**
 * Follows every job until the function it returns is called, beginning with the newest
 * event of each.
 * `onEvent(name, data, id)` gets each event. `onState` gets "connecting", "open",
 * "reconnecting", or "refused" with the status and what the server says of it.
 */
export function followAll({ onEvent, onState }) {
  let source = null;
  let timer = null;
  let last = "";
  let wait = WAIT_FIRST_MS;
  const asking = new AbortController();

  const url = () => `api/events?replay=latest${last && `&lastEventId=${last}`}`;

  const open = () => {
    source = new EventSource(url());
    source.onopen = () => {
      wait = WAIT_FIRST_MS;
      onState("open");
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        if (event instanceof MessageEvent) {
          last = event.lastEventId;
          onEvent(name, JSON.parse(event.data), last);
        } else if (name === "error") {
          onState("reconnecting");
          if (source.readyState === EventSource.CLOSED) giveUp();
        }
      });
    }
  };

  // EventSource doesn't say why it stopped: an ordinary request does.
  const giveUp = async () => {
    try {
      const once = new AbortController();
      const signal = AbortSignal.any?.([asking.signal, once.signal]) ?? asking.signal;
      const answer = await fetch(url(), { signal });
      if (answer.status === 401 || answer.status === 403) {
        const { error } = await answer.json();
        return onState("refused", answer.status, error);
      }
      once.abort();
    } catch {
      // The server is away, or a proxy answers in its place: later, then.
    }
    if (asking.signal.aborted) return;
    timer = setTimeout(open, wait * Math.random());
    wait = Math.min(wait * 2, WAIT_MOST_MS);
  };

  onState("connecting");
  open();
  return () => {
    clearTimeout(timer);
    asking.abort();
    source.close();
  };
}
