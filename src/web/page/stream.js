// Every job there is, through one connection that comes back by itself.

const EVENTS = ["progress", "done", "error", "deleted", "reset"];
const WAIT_FIRST_MS = 500;
const WAIT_MOST_MS = 30_000;

/**
 * Follows every job, from the event `at` on, until the function it returns is called.
 * `onEvent(name, data, id)` gets each event. `onState` gets "connecting", "open" or
 * "reconnecting".
 */
export function followAll({ at, onEvent, onState }) {
  let source = null;
  let timer = null;
  let last = at;
  let wait = WAIT_FIRST_MS;

  const open = () => {
    source = new EventSource(`api/events?lastEventId=${last}`);
    source.onopen = () => {
      wait = WAIT_FIRST_MS;
      onState("open");
    };
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        if (event instanceof MessageEvent) return receive(name, event);
        if (name !== "error") return;
        onState("reconnecting");
        if (source.readyState !== EventSource.CLOSED) return;
        timer = setTimeout(open, wait * Math.random());
        wait = Math.min(wait * 2, WAIT_MOST_MS);
      });
    }
  };

  const receive = (name, event) => {
    last = event.lastEventId || last;
    let data = null;
    try {
      data = JSON.parse(event.data);
    } catch {
      // It isn't the server's.
    }
    if (typeof data?.jobId === "string") onEvent(name, data, event.lastEventId);
  };

  onState("connecting");
  open();
  return () => {
    clearTimeout(timer);
    source.close();
  };
}
