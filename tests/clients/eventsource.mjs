// Follows a stream with the npm package eventsource, and prints what it fires as JSON
// lines. It never closes the source itself: Node ends when EventSource gives up.
import { EventSource } from "eventsource";

const [url, ...names] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const source = new EventSource(url);
const event = ({ type, data, lastEventId }) => say({ event: type, data, id: lastEventId });

source.addEventListener("open", () => say({ open: true }));
for (const name of ["message", ...names]) source.addEventListener(name, event);
source.addEventListener("error", (e) => {
  // An event named "error" comes to the same listeners as a failure does.
  if (e.data !== undefined) event(e);
  else if (source.readyState === EventSource.CLOSED) say({ closed: true, status: e.code });
});
