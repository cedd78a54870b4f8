// Uploads a file with tus-js-client, as node runs it, through a proxy that cuts the
// connection three times; in between the server is killed and comes back.
import { createReadStream, statSync } from "node:fs";
import net from "node:net";
import { createInterface } from "node:readline";
import * as tus from "tus-js-client";

const [hub, path, job] = process.argv.slice(2);
const [host, port] = hub.split(":");
const size = statSync(path).size;
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const marks = [0.2, 0.45, 0.7].map((part) => Math.floor(part * size));
let [passed, cuts, restarts] = [0, 0, 0];
const urls = new Set();
let away = Promise.resolve();

const proxy = net.createServer(async (client) => {
  client.on("error", () => {});
  client.pause();
  await away;
  const server = net.connect(Number(port), host);
  server.on("error", () => client.destroy());
  server.on("close", () => client.destroy());
  client.on("close", () => server.destroy());
  server.pipe(client);
  client.on("data", (bytes) => {
    passed += bytes.length;
    if (!server.write(bytes)) {
      client.pause();
      server.once("drain", () => client.resume());
    }
    if (cuts < marks.length && passed > marks[cuts]) {
      cuts += 1;
      client.destroy();
      server.destroy();
      if (cuts === 2) {
        away = restart();
      }
    }
  });
  client.resume();
});

async function restart() {
  console.log("want restart");
  await answers.next();
  restarts += 1;
}

proxy.listen(0, "127.0.0.1", () => {
  const upload = new tus.Upload(createReadStream(path), {
    endpoint: `http://127.0.0.1:${proxy.address().port}/api/tus/`,
    uploadSize: size,
    metadata: { filename: "clip.mp4", filetype: "video/mp4", job },
    retryDelays: [50, 100, 200, 500, 1000, 2000, 2000, 2000],
    onUploadUrlAvailable: () => urls.add(upload.url),
    onError: (error) => {
      console.log(String(error));
      process.exit(1);
    },
    onSuccess: () => {
      console.log(`cuts ${cuts}, restarts ${restarts}, uploads ${urls.size}`);
      process.exit(0);
    },
  });
  upload.start();
});
