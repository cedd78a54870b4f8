// Follows a stream with the npm package eventsource, as a browser would, and prints what
// happens, a JSON value a line.
import { EventSource } from "eventsource";

const source = new EventSource(process.argv[2]);
const print = (what) => console.log(JSON.stringify(what));
for (const name of ["progress", "done", "reset"]) {
  source.addEventListener(name, (event) => {
    print({ event: name, id: event.lastEventId, data: JSON.parse(event.data) });
  });
}
source.addEventListener("open", () => print({ state: "open" }));
source.addEventListener("error", () => {
  if (source.readyState !== EventSource.CLOSED) return print({ state: "reconnecting" });
  print({ state: "closed" });
});
