// Follows a stream by one of the clients, and prints each event's id when it has come.
import { EventSource } from "eventsource";
import { fetch as undiciFetch, request } from "undici";

const [client, url] = process.argv.slice(2);

/** Prints the ids in pieces of a stream. */
async function read(pieces) {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const piece of pieces) {
    const frames = (rest + decoder.decode(piece, { stream: true })).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) console.log(/^id: (\d+)$/m.exec(frame)[1]);
  }
}

const clients = {
  fetch: async () => read((await fetch(url)).body),
  "undici fetch": async () => read((await undiciFetch(url)).body),
  "undici request": async () => read((await request(url)).body),
  eventsource: () => {
    const source = new EventSource(url);
    for (const name of ["progress", "done"]) {
      source.addEventListener(name, (event) => {
        console.log(event.lastEventId);
        if (name === "done") source.close();
      });
    }
  },
};
await clients[client]();
